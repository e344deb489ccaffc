"""The device that computes here, and how much of its memory is free."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backend.service.ports import Json

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


def probe_device(proc: Path = _PROC, cgroup: Path = _CGROUP) -> Json:
    """Return `{device, total_bytes, free_bytes, note}` of the GPU if this process has one, else of the CPU.

    The memory is what this process may use: a container's limit counts, where it is below the machine's.
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
    total_bytes, free_bytes = _within_container(cgroup, *_machine_memory(proc))
    return {
        "device": f"CPU, {os.cpu_count() or 1} cores",
        "total_bytes": total_bytes,
        "free_bytes": free_bytes,
        "note": None if torch is not None else "no model was loaded yet, so a GPU would not show",
    }


def _machine_memory(proc: Path) -> tuple[int | None, int | None]:
    """Return total and available bytes, None where the system does not say."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None, None
    pairs = [line.split() for line in lines]
    sizes = {
        pair[0].rstrip(":"): int(pair[1]) * 1024 for pair in pairs if len(pair) > 1 and pair[1].isdigit()
    }
    return sizes.get("MemTotal"), sizes.get("MemAvailable")


def _within_container(
    cgroup: Path, total_bytes: int | None, free_bytes: int | None
) -> tuple[int | None, int | None]:
    """Return the smaller of the machine's memory and the control group's. Source: cgroup v2, `memory.max`."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        statistics = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return total_bytes, free_bytes
    if total_bytes is not None and limit >= total_bytes:
        return total_bytes, free_bytes
    # Pages of files that were read count as used, but are given back as soon as they are wanted.
    left = limit - used + int(statistics.get("inactive_file", 0))
    return limit, left if free_bytes is None else min(left, free_bytes)
