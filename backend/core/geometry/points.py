"""Points of an image: what an image teaches about them, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from backend.core.geometry.instances import Detections, FloatArray, IntArray, TrainingTarget

POINTS = "landmarks"
"""The name under which extras of targets and detections hold points."""
NO_OBJECT = -1
"""`object_index` of a point that belongs to no object in particular."""


class LabelledPoint(NamedTuple):
    """A point that was drawn, in the pixels of its image.

    label_index: into the training's labels. mirrored_index: the label that it has in a mirror, where a left
    ear is a right one. object_index: points of one image with the same number belong to one object.
    """

    x_px: float
    y_px: float
    label_index: int
    mirrored_index: int
    object_index: int = NO_OBJECT


def read_points(values: Sequence[Sequence[float]] | None) -> list[LabelledPoint]:
    """Return the points of an image's extras, which may have been through JSON; [] without an entry."""
    return [LabelledPoint(x, y, *map(int, indices)) for x, y, *indices in values or ()]


@dataclass(frozen=True, eq=False)
class FoundPoints:
    """Points that were found in an image, best score first.

    points_xy_px float32 [K, 2] in the orig frame; scores float32 [K] in 0..1; label_indices int64 [K] into
    the predictor's labels; object_rows int64 [K]: the detection to which each belongs, NO_OBJECT for none.
    """

    points_xy_px: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    label_indices: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    object_rows: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.points_xy_px.shape != (count, 2):
            raise ValueError(f"places must be ({count}, 2), got {self.points_xy_px.shape}")
        if self.label_indices.shape != (count,) or self.object_rows.shape != (count,):
            raise ValueError(f"label_indices and object_rows must be ({count},)")

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, keep: IntArray) -> FoundPoints:
        """Return some of them, in the order of `keep`."""
        return FoundPoints(
            self.points_xy_px[keep], self.scores[keep], self.label_indices[keep], self.object_rows[keep]
        )


def points_of(target: TrainingTarget) -> list[LabelledPoint]:
    """Return the points that an image teaches."""
    return read_points(target.extras.get(POINTS))


def found_points(detections: Detections) -> FoundPoints:
    """Return the points that were found in an image."""
    points: FoundPoints = detections.extras.get(POINTS) or FoundPoints()
    return points
