"""The device that computes here, and how much of its memory is free."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backend.service.ports import Json

_MEMINFO = Path("/proc/meminfo")


def probe_device() -> Json:
    """Return `{device, total_bytes, free_bytes, note}` of the GPU if this process has one, else of the CPU.

    torch is asked only where it is loaded already: importing it takes seconds, and that is not worth a check.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return {
            "device": torch.cuda.get_device_name(0),
            "total_bytes": int(total),
            "free_bytes": int(free),
            "note": None,
        }
    memory = _read_meminfo()
    return {
        "device": f"CPU, {os.cpu_count() or 1} cores",
        "total_bytes": memory.get("MemTotal"),
        "free_bytes": memory.get("MemAvailable"),
        "note": None if torch is not None else "no model was loaded yet, so a GPU would not show",
    }


def _read_meminfo() -> dict[str, int]:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {
        pair[0].rstrip(":"): int(pair[1]) * 1024 for pair in pairs if len(pair) >= 2 and pair[1].isdigit()
    }
