"""What versions are called."""

from __future__ import annotations

from datetime import datetime, timezone


def version_name(now_s: float, chance: str) -> str:
    """Return a name that sorts by time: `20260131-093000-3f2a`, UTC, then `chance`, which keeps two apart."""
    return f"{datetime.fromtimestamp(now_s, timezone.utc):%Y%m%d-%H%M%S}-{chance}"
