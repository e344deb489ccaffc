"""Numbers out of a region's `value`, which anybody may have written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backend.core.geometry.instances import ImageSize
from backend.core.regions.unusable import UnusableRegion

MAX_PCT = 1e6
MOST_DIGITS = 15
_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d*)?\s*")
DECIMALS_PCT = 4  # a hundredth of a pixel in an image of 10,000 pixels


def read_number(value: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """Return value[key] as a float; the default, if there is one, where it is missing or null.

    Raises UnusableRegion: "numbers_as_text" for a text that spells a number, "bad_geometry" for anything else
    but a number of at most MAX_PCT either way.
    """
    number = value.get(key)
    if isinstance(number, str) and is_number_text(number):
        raise UnusableRegion("numbers_as_text")
    if number is None and default is not None:
        return default
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= MAX_PCT:
        raise UnusableRegion("bad_geometry")
    return float(number)


def is_number_text(text: str) -> bool:
    """Tell whether a text spells a number: `"12.5"`, with a point or a comma."""
    return _NUMBER.fullmatch(text) is not None


def parse_whole_number(text: str) -> int | None:
    """Return the number that a text of at most MOST_DIGITS plain digits spells, None for any other text."""
    is_one = 0 < len(text) <= MOST_DIGITS and text.isascii() and text.isdecimal()
    return int(text) if is_one else None


def parse_recorded_size(width: Any, height: Any) -> ImageSize | None:
    """Return `original_width` and `original_height` as a size; None where they are missing or make none."""
    for side in (width, height):
        if isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side <= MAX_PCT:
            return None
    return ImageSize(int(width), int(height))


def write_pct(number: float, limit: float = 100.0) -> float:
    """Return a percentage cut to 0..limit and rounded, as it is sent."""
    return round(min(max(float(number), 0.0), limit), DECIMALS_PCT)
