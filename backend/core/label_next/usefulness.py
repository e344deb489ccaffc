"""What labelling each picture would teach, as a figure and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import Detections, FloatArray
from backend.core.label_next.doubt import Doubt, LabelWeights, doubt_of
from backend.core.label_next.order import Order, order_pictures

UNLIKE_FROM = 0.45
"""A picture whose novelty is at least that resembles nothing that is labelled."""


@dataclass(frozen=True)
class Useful:
    """One picture: usefulness from 1.0 (label it first) down to 0.0, and why, in a few words.

    quality: the score that the version itself gives the picture; None where no version was asked.
    """

    usefulness: float
    why: str
    quality: float | None = None


def rank_pictures(
    unlabelled: FloatArray,
    labelled: FloatArray,
    found: Sequence[Detections | None] | None,
    weights: LabelWeights | None,
) -> list[Useful]:
    """Return the usefulness of each unlabelled picture [N].

    unlabelled [N, D], labelled [M, D]: what pictures look like, rows of any scale. found: what a version
    found in each unlabelled one from LEAST_SCORE up, None for those that it was not asked about; None with
    weights None where there is no version.
    """
    count = len(unlabelled)
    asked: Sequence[Detections | None] = [None] * count if found is None else found
    doubts = [
        None if one is None or weights is None else doubt_of(one.scores, one.label_indices, weights)
        for one in asked
    ]
    amounts = np.array([0.0 if one is None else one.amount for one in doubts], np.float32)
    order = order_pictures(unlabelled, labelled, None if found is None else amounts)
    qualities = [None if one is None else round(float(one.image_score), 4) for one in asked]
    return usefulness_of(order, doubts, qualities, len(labelled))


def usefulness_of(
    order: Order, doubts: Sequence[Doubt | None], qualities: Sequence[float | None], labelled_count: int
) -> list[Useful]:
    """Return the usefulness of each picture [N], by its place in the order."""
    count = len(order.rows)
    place = np.empty(count, np.int64)
    place[order.rows] = np.arange(count)
    return [
        Useful(
            round(1.0 - int(place[row]) / max(1, count - 1), 4) if count > 1 else 1.0,
            why(order, row, doubts[row], count, labelled_count),
            qualities[row],
        )
        for row in range(count)
    ]


def why(order: Order, row: int, doubt: Doubt | None, count: int, labelled_count: int) -> str:
    """Return why a picture has its place, the strongest reason first."""
    twin = int(order.twin_of[row])
    if twin >= count:
        return "nearly equals a labelled one"
    if twin >= 0:
        return "nearly equals one that comes earlier"
    said = []
    if doubt is not None and doubt.rare_label is not None:
        known = "none yet" if not doubt.rare_count else str(doubt.rare_count)
        said.append(f"perhaps a {doubt.rare_label}, of which there are {known}")
    if labelled_count and order.novelty[row] >= UNLIKE_FROM:
        said.append("unlike anything labelled")
    if doubt is not None and doubt.objects:
        said.append(f"{doubt.objects} {'object' if doubt.objects == 1 else 'objects'} in doubt")
    alike = int(order.alike[row])
    if not said or (len(said) == 1 and not labelled_count):
        said.append(f"{alike} like it are left" if alike else "nothing like it is left")
    return "; ".join(said)
