"""How a large image is cut into overlapping tiles: which rectangles of it are looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.placement import Rect

MOST_TILES = 1024
"""So many tiles an image is cut into, about, at most; beyond, they become larger."""
LEAST_OVERRUN = 1.05
"""An image that is longer than a tile by no more than this is not cut."""
MOST_IN_VIEW = 300
"""A view shows so many things at most; an image of many views may show more."""


@dataclass(frozen=True)
class Tiling:
    """How images of one version are cut.

    side_px: of a tile, in pixels of the image; share: the same as a share of the image's longer side. Exactly
    one of them is given. overlap: of neighbours, as a share of a tile's side, below 1. has_whole_view: the
    whole image is looked at too.
    """

    side_px: float | None = None
    share: float | None = None
    overlap: float = 0.2
    has_whole_view: bool = False

    def __post_init__(self) -> None:
        if (self.side_px is None) == (self.share is None):
            raise ValueError("a tile has either a side in pixels or a share of the image")
        size = self.share if self.side_px is None else self.side_px
        if size is None or not (math.isfinite(size) and size > 0):
            raise ValueError(f"a tile's side is above 0, got {size}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must be from 0 to below 1, got {self.overlap}")

    def side_of(self, size: ImageSize) -> float:
        """Return the side of a tile of an image, in its pixels, at least 1."""
        wanted = self.side_px if self.side_px is not None else (self.share or 1.0) * _longest(size)
        step = 1 - self.overlap
        # The least side by which rows times columns are about MOST_TILES.
        least = math.sqrt(size.width * size.height / MOST_TILES) / step
        thin = _longest(size) / MOST_TILES / step
        return max(wanted, min(least, _longest(size)), thin, 1.0)

    def cuts(self, size: ImageSize) -> bool:
        """Tell whether an image is cut at all."""
        return _longest(size) > LEAST_OVERRUN * self.side_of(size)

    def views_of(self, size: ImageSize) -> tuple[Rect, ...]:
        """Return what is looked at: the tiles row by row, then the whole image where that is looked at too.

        An image that is not cut is one view.
        """
        everything = (0, 0, size.width, size.height)
        if not self.cuts(size):
            return (everything,)
        side = self.side_of(size)
        columns, rows = (_spread(length, side, self.overlap) for length in (size.width, size.height))
        tiles = tuple((x1, y1, x2, y2) for y1, y2 in rows for x1, x2 in columns)
        return (*tiles, everything) if self.has_whole_view else tiles

    def kept_scale(self, size: ImageSize, view_px: int) -> float:
        """Return how much an image is enlarged so that a tile of it has `view_px`; never enlarged if cut.

        view_px: the longer side of what the network sees.
        """
        if self.cuts(size):
            return min(1.0, view_px / self.side_of(size))
        return view_px / _longest(size) if self._shrinks(view_px) else 1.0

    def when_kept(self, view_px: int) -> Tiling:
        """Return the tiling of images that were brought to their `kept_scale`."""
        if self.side_px is None:
            return self
        return replace(self, side_px=min(self.side_px, float(view_px)))

    def _shrinks(self, view_px: int) -> bool:
        return self.side_px is None or self.side_px > view_px

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_card(cls, values: Mapping[str, Any]) -> Tiling:
        """Read what `as_card` wrote. Raises KeyError, TypeError or ValueError where it is something else."""
        side, share = values.get("side_px"), values.get("share")
        return cls(
            None if side is None else float(side),
            None if share is None else float(share),
            float(values["overlap"]),
            bool(values["has_whole_view"]),
        )


def _longest(size: ImageSize) -> int:
    return max(size.width, size.height)


def _spread(length: int, side: float, overlap: float) -> list[tuple[int, int]]:
    """Return the fewest tiles that cover a length and overlap enough, evenly spread."""
    if length <= LEAST_OVERRUN * side:
        return [(0, length)]
    whole_side = min(length, max(1, math.ceil(side)))
    step = side * (1 - overlap)
    count = max(2, math.ceil((length - side) / step - 1e-6) + 1)
    starts = [round(k * (length - whole_side) / (count - 1)) for k in range(count)]
    return [(start, start + whole_side) for start in starts]
