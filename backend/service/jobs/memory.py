"""How much memory this process holds."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class MemoryUse:
    """What this process holds of the machine's memory and of its GPUs' (torch's share, free blocks too)."""

    resident_bytes: int
    device_bytes: int


def memory_use() -> MemoryUse:
    """Return what this process holds now; 0 for what cannot be told, such as a GPU that is not in use."""
    return MemoryUse(_resident_bytes(), _device_bytes())


def _resident_bytes() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _device_bytes() -> int:
    # torch is asked only where it is loaded already: importing it takes seconds.
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return 0
    return sum(int(torch.cuda.memory_reserved(device)) for device in range(torch.cuda.device_count()))
