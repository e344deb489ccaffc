"""What versions are called."""

from __future__ import annotations

import re
from datetime import datetime, timezone

ZERO_SHOT = "zero-shot-"
TEXT_LINES = "ocr-"


def version_name(now_s: float, chance: str) -> str:
    """Return a name that sorts by time: `20260131-093000-3f2a`, UTC, then `chance`, which keeps two apart."""
    return f"{datetime.fromtimestamp(now_s, timezone.utc):%Y%m%d-%H%M%S}-{chance}"


def zero_shot_name(model: str) -> str:
    """Return what predictions of a network that needs no training are called: `zero-shot-owner-name`."""
    return ZERO_SHOT + re.sub(r"[^A-Za-z0-9._]+", "-", model).strip("-")
