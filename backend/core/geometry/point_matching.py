"""Which of the points found are right: found and drawn ones of one label, in pairs that lie near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, IntArray
from backend.core.geometry.points import FoundPoints, LabelledPoint

HIT_SHARE = 0.05
"""A point is found where it is missed by at most this share of the image's longer side."""


@dataclass(frozen=True, eq=False)
class PointMatch:
    """Found and drawn points of one image, in pairs of one label.

    hits bool [K]: of each found point, whether it is near a drawn one that no better one took. distances
    float32 [hits]: of the pairs, as a share of the image's longer side. drawn_labels int64: of drawn points.
    """

    hits: BoolArray
    distances: FloatArray
    drawn_labels: IntArray

    @property
    def drawn(self) -> int:
        """How many points were drawn."""
        return len(self.drawn_labels)


def match_points(found: FoundPoints, drawn: Sequence[LabelledPoint], size: ImageSize) -> PointMatch:
    """Return which found points (best first) hit a drawn one; each takes the nearest that is free."""
    places = np.array([[point.x_px, point.y_px] for point in drawn], np.float32).reshape(-1, 2)
    labels = np.array([point.label_index for point in drawn], np.int64)
    is_free = np.ones(len(drawn), np.bool_)
    hits, distances = np.zeros(len(found), np.bool_), []
    for number in range(len(found)):
        apart = np.linalg.norm(places - found.points_xy_px[number], axis=1) / max(size.width, size.height)
        apart = np.where(is_free & (labels == found.label_indices[number]), apart, np.inf)
        if len(apart) and apart.min() <= HIT_SHARE:
            nearest = int(apart.argmin())
            is_free[nearest], hits[number] = False, True
            distances.append(float(apart[nearest]))
    return PointMatch(hits, np.array(distances, np.float32), labels)
