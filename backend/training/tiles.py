"""Whether a training cuts its pictures into tiles, how large these are, and why, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize, IntArray, TrainingTarget
from backend.core.geometry.tile_joining import BORDER_SHARE
from backend.core.geometry.tiling import Tiling
from backend.training.parameters import AUTO, TrainingParams

SMALL_PX = 16.0
"""A label is too small if half of its things have a smaller side than this where the network sees them whole.

The side of a thing is the root of its box's area.
"""
GOOD_PX = 24.0
"""The side that half of the things of the smallest such label have in a tile."""
LEAST_THINGS = 3
"""A label with fewer things does not decide how pictures are cut."""
LEAST_SHRUNK = 2.0
"""Pictures are cut only if the network would see them smaller than by this."""
LONG_PERCENTILE = 98
"""Tiles overlap by more than so many of a hundred things are long."""
OVERLAP_MARGIN = 1.1
OVERLAP_MIN, OVERLAP_MAX = 0.1, 0.45
LARGE = 1.5
"""The whole picture is looked at too if a thing is longer than so many overlaps."""
MOST_TILES_A_SIDE = 32
"""The usual picture is cut into so many rows and columns at most."""
LARGEST_ZOOM = 2.0
"""A tile is never enlarged by more than this to be seen."""


@dataclass(frozen=True)
class TilesDecision:
    """How pictures are cut, and the reason; tiling: None where they stay whole."""

    tiling: Tiling | None
    reason: str

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values; `backend.nn.detector.tiles` reads them."""
        return {"reason": self.reason, "tiling": None if self.tiling is None else self.tiling.as_card()}

    @classmethod
    def from_card(cls, values: Mapping[str, Any]) -> TilesDecision:
        """Read what `as_card` wrote."""
        tiling = values["tiling"]
        return cls(None if tiling is None else Tiling.from_card(tiling), values["reason"])


WHOLE = TilesDecision(None, "pictures stay whole")


@dataclass(frozen=True, eq=False)
class _Things:
    """All objects: their sides, the root of the box's area, and longer sides in pixels, labels [N].

    shown_as [N]: pixels of the network's view per pixel of the object's picture.
    """

    sides_px: FloatArray
    longest_px: FloatArray
    labels: IntArray
    shown_as: FloatArray


def decide_tiles(params: TrainingParams, targets: Sequence[TrainingTarget], *, asked: bool) -> TilesDecision:
    """Return how pictures with these objects, of one picture at least, are cut.

    asked: whether anything is learned of pictures as a whole, so that these are looked at too.
    """
    if params.tiles == "off":
        return TilesDecision(None, "tiles are switched off")
    things = _things(targets, params.image_size)
    size = _usual_size([target.size for target in targets])
    if params.tiles != AUTO:
        share = float(Fraction(params.tiles))
        tiling = Tiling(share=share, **_overlap(things, share * _longest(size), asked))
        count = len(tiling.views_of(size))
        return TilesDecision(tiling, f"tiles of {params.tiles} of a picture's side were asked for: {count}")
    small = _small_labels(things)
    if not small:
        return TilesDecision(None, _why_whole(things, params.image_size))
    shrunk = _longest(size) / params.image_size
    median = min(float(np.median(things.sides_px[things.labels == label])) for label in small)
    said = f"things are {median:.0f} px in pictures of {_longest(size)}"
    if shrunk <= LEAST_SHRUNK:
        return TilesDecision(
            None, f"{said}, which the network sees at {params.image_size}: too little is lost to cut them"
        )
    side = max(median * params.image_size / GOOD_PX, params.image_size / LARGEST_ZOOM)
    tiling = _even(size, things, side, asked)
    return TilesDecision(tiling, f"{said}: cut into {len(tiling.views_of(size))} tiles")


def _things(targets: Sequence[TrainingTarget], view_px: int) -> _Things:
    sides, longest, labels, shown_as = [], [], [], []
    for target in targets:
        rows = target.first_rows
        lengths = target.boxes_xyxy_px[rows, 2:] - target.boxes_xyxy_px[rows, :2]
        sides.append(np.sqrt(lengths.prod(axis=1)))
        longest.append(lengths.max(axis=1, initial=0))
        labels.append(target.label_indices[rows])
        shown_as.append(np.full(len(rows), view_px / _longest(target.size)))
    if not sides:
        nothing = np.zeros(0, dtype=np.float32)
        return _Things(nothing, nothing, np.zeros(0, dtype=np.int64), nothing)
    return _Things(*(np.concatenate(column) for column in (sides, longest, labels, shown_as)))


def _small_labels(things: _Things) -> list[int]:
    seen = things.sides_px * things.shown_as
    labels, counts = np.unique(things.labels, return_counts=True)
    return [
        int(label)
        for label, count in zip(labels, counts, strict=True)
        if count >= LEAST_THINGS and np.median(seen[things.labels == label]) < SMALL_PX
    ]


def _why_whole(things: _Things, view_px: int) -> str:
    if not len(things.labels):
        return "no thing has a size: pictures stay whole"
    median = float(np.median(things.sides_px * things.shown_as))
    return f"things are {median:.0f} px in the {view_px} px that the network sees: pictures stay whole"


def _overlap(things: _Things, side_px: float, is_asked: bool) -> dict[str, Any]:
    """Return how much tiles overlap, as a share of their side, and whether the whole is looked at too."""
    long = float(np.percentile(things.longest_px, LONG_PERCENTILE)) if len(things.longest_px) else 0.0
    overlap = float(np.clip(OVERLAP_MARGIN * long / side_px + 2 * BORDER_SHARE, OVERLAP_MIN, OVERLAP_MAX))
    largest = float(things.longest_px.max(initial=0))
    return {"overlap": round(overlap, 4), "has_whole_view": is_asked or largest > LARGE * overlap * side_px}


def _even(size: ImageSize, things: _Things, side_px: float, is_asked: bool) -> Tiling:
    """Return tiles of about this side, of which a whole number covers the usual picture evenly."""
    longest = _longest(size)
    side_px = max(side_px, longest / MOST_TILES_A_SIDE)
    shared_px = _overlap(things, side_px, is_asked)["overlap"] * side_px
    count = max(2, round((longest - shared_px) / (side_px - shared_px)))
    # Rounded up, since tiles a hair too small would take another row.
    side_px = float(np.ceil((longest + (count - 1) * shared_px) / count))
    return Tiling(side_px=side_px, **_overlap(things, side_px, is_asked))


def _usual_size(sizes: Sequence[ImageSize]) -> ImageSize:
    """Return the size of the picture of middling length."""
    return sorted(sizes, key=lambda size: (_longest(size), size.width, size.height))[len(sizes) // 2]


def _longest(size: ImageSize) -> int:
    return max(size.width, size.height)
