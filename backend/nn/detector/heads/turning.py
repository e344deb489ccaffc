"""Which labels are drawn as turned rectangles: what decides between the two heads that find boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.instances import BoolArray, TrainingTarget
from backend.core.geometry.turned_boxes import is_turned

TURNED_SHARE_MIN = 0.1
"""From this share of its rectangles a label is drawn turned.

Below one in ten a turn is a slip of the hand or an exception: what came back turned would have to be turned
back nine times of ten, and there are too few examples to learn the angle from.
"""


def turned_shares(taught: Sequence[TrainingTarget], label_count: int) -> tuple[float, ...]:
    """Return which share of each label's rectangles is turned by other than quarter turns.

    Only rectangles count: of a painted area or an outline nobody has said how it is turned. 0 without any.
    """
    turned, rectangles = np.zeros(label_count), np.zeros(label_count)
    for target in taught:
        rows = target.turned_boxes_px
        is_mine = np.zeros(len(target), np.bool_) if rows is None else is_turned(rows)
        for label, mine, mask in zip(target.label_indices, is_mine, target.masks, strict=True):
            turned[label] += mine
            rectangles[label] += mine or mask is None
    return tuple((turned / np.maximum(rectangles, 1)).tolist())


def turning(shares: Sequence[float]) -> BoolArray:
    """Return which labels are drawn turned, bool [L], by the shares [L] of their rectangles that are."""
    turns: BoolArray = np.asarray(shares) >= TURNED_SHARE_MIN
    return turns


def is_drawn_turned(taught: Sequence[TrainingTarget]) -> bool:
    """Tell whether any label is drawn turned."""
    label_count = 1 + max((int(target.label_indices.max(initial=-1)) for target in taught), default=-1)
    return bool(turning(turned_shares(taught, label_count)).any())
