"""How near found points are to those that were drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.point_matching import HIT_SHARE, PointMatch
from backend.core.geometry.points import FoundPoints


def measure_points(
    found: Sequence[FoundPoints], matches: Sequence[PointMatch], label_count: int
) -> dict[str, float]:
    """Return how good points are that were found down to a low score; nothing where none was drawn.

    `point_map`: average precision where a hit is near enough, as a mean over the labels that were drawn.
    `point_recall`: the share of drawn points that are hit. `point_nearness`: 1 where hits lie exactly on
    drawn points, 0 where they lie at the edge of what counts.
    """
    drawn = sum(match.drawn for match in matches)
    if not drawn:
        return {}
    by_label = [_average_precision(found, matches, label) for label in range(label_count)]
    distances = np.concatenate([match.distances for match in matches])
    return {
        "point_map": float(np.mean([value for value in by_label if value is not None])),
        "point_recall": len(distances) / drawn,
        "point_nearness": 1 - float(distances.mean()) / HIT_SHARE if len(distances) else 0.0,
    }


def _average_precision(
    found: Sequence[FoundPoints], matches: Sequence[PointMatch], label: int
) -> float | None:
    """Return the area below the curve of precision over recall; None for a label that nobody drew.

    Source: Pascal VOC 2010, area below the curve whose precision never rises with recall.
    """
    drawn = sum(int((match.drawn_labels == label).sum()) for match in matches)
    if not drawn:
        return None
    mine = [points.label_indices == label for points in found]
    scores = np.concatenate([points.scores[own] for points, own in zip(found, mine, strict=True)])
    hits = np.concatenate([match.hits[own] for match, own in zip(matches, mine, strict=True)])
    hits = hits[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[hits].sum()) / drawn
