"""One held-out image: what people drew, what a version found, and which of them are one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, IntArray, TrainingTarget
from backend.core.geometry.matching import HIT_IOU, NO_ROW, ious_with, matched_rows

NOBODY = NO_ROW

Bounds = tuple[float, float, float, float]
"""x1, y1, x2, y2 of a box as shares of the image's sides, 0..1."""


@dataclass(frozen=True)
class PageSource:
    """Where a training image comes from: its task, its number among the task's images, its full size."""

    task_id: int
    page: int
    size: ImageSize


@dataclass(frozen=True)
class DrawnObject:
    """An object that people drew; area_px: of the box around it, in the pixels of the full image."""

    label: str
    bounds: Bounds
    area_px: float


@dataclass(frozen=True)
class FoundObject:
    """An object that a version found; area_px as above.

    hits: which drawn object of its label it hits, NOBODY for none. overlaps: which drawn object of any label
    it lies on that no other found object hits, NOBODY for none.
    """

    label: str
    score: float
    bounds: Bounds
    area_px: float
    hits: int
    overlaps: int


@dataclass(frozen=True)
class JudgedImage:
    """A held-out image from a threshold up: objects drawn and found, the surest first."""

    source: PageSource
    drawn: tuple[DrawnObject, ...]
    found: tuple[FoundObject, ...]


def judge_image(
    source: PageSource,
    found: Detections,
    target: TrainingTarget,
    labels: Sequence[str],
    lowest_score: float,
) -> JudgedImage:
    """Return what was drawn and what was found from a score up, and how they meet at an IoU of 0.5.

    found and target may be of another size than the full image; their own size is that of `target`.
    """
    hits = matched_rows(found, target)
    kept = np.flatnonzero(found.scores >= lowest_score)
    overlaps = _overlaps(ious_with(found, target)[kept], hits[kept])
    scale = source.size.width * source.size.height
    drawn_bounds = _bounds(target.boxes_xyxy_px, target.size)
    found_bounds = _bounds(found.boxes_xyxy_px, target.size)
    drawn = tuple(
        DrawnObject(labels[label], bounds, _area(bounds) * scale)
        for bounds, label in zip(drawn_bounds, target.label_indices.tolist(), strict=True)
    )
    return JudgedImage(
        source,
        drawn,
        tuple(
            FoundObject(
                label=labels[int(found.label_indices[row])],
                score=float(found.scores[row]),
                bounds=found_bounds[row],
                area_px=_area(found_bounds[row]) * scale,
                hits=int(hits[row]),
                overlaps=overlaps[place],
            )
            for place, row in enumerate(kept.tolist())
        ),
    )


def _overlaps(ious: FloatArray, hits: IntArray) -> list[int]:
    """Return for each found object without a hit the free drawn object that it lies on most, by score."""
    taken = set(hits[hits != NOBODY].tolist())
    overlaps = []
    for row, hit in enumerate(hits.tolist()):
        free = [k for k in range(ious.shape[1]) if k not in taken and ious[row, k] >= HIT_IOU]
        best = NOBODY if hit != NOBODY or not free else max(free, key=lambda k: float(ious[row, k]))
        overlaps.append(best)
        taken.add(best)
    return overlaps


def _bounds(boxes_xyxy_px: FloatArray, size: ImageSize) -> list[Bounds]:
    sides = np.array([size.width, size.height] * 2, np.float64)
    shares = np.clip(boxes_xyxy_px / sides, 0, 1)
    return [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in shares]


def _area(bounds: Bounds) -> float:
    x1, y1, x2, y2 = bounds
    return (x2 - x1) * (y2 - y1)
