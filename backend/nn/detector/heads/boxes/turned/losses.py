"""What is learned of the turn of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.core.geometry.boxes import box_area
from backend.core.geometry.instances import TrainingTarget
from backend.core.geometry.turned_boxes import turned_bounds, turned_boxes_of
from backend.nn.detector.heads.boxes.losses import BoxTargets, Learners, total_quality
from backend.nn.detector.heads.boxes.turned.coding import turned_to_codes

WHOLE_MIN = 0.9
"""An object of which a view shows less than this share of its bounds teaches no turn: its box is cut."""
SMOOTH_BELOW = 0.2
"""Errors of codes below this count by their square."""


@dataclass(frozen=True)
class TurnedTargets:
    """Boxes and labels, and of every object the code of its turn [M_n, 4] and whether it is whole [M_n]."""

    boxes: BoxTargets
    codes: list[Tensor]
    is_whole: list[Tensor]

    def to(self, device: torch.device) -> TurnedTargets:
        """Return the same on another device."""
        codes, is_whole = (
            [t.to(device, non_blocking=True) for t in tensors] for tensors in (self.codes, self.is_whole)
        )
        return TurnedTargets(self.boxes.to(device), codes, is_whole)


def turned_targets(boxes: BoxTargets, shown: Sequence[TrainingTarget]) -> TurnedTargets:
    """Return what views teach of the turn of their objects beside their boxes."""
    codes, is_whole = [], []
    for target in shown:
        first = target.first_rows
        rows = turned_boxes_of(target)[first]
        codes.append(torch.from_numpy(turned_to_codes(rows)))
        area = np.maximum(box_area(turned_bounds(rows)), 1e-6)
        is_whole.append(torch.from_numpy(box_area(target.boxes_xyxy_px[first]) >= WHOLE_MIN * area))
    return TurnedTargets(boxes, codes, is_whole)


def turn_loss(codes: Tensor, targets: TurnedTargets, learners: Sequence[Learners]) -> Tensor:
    """Return the loss of codes [N, P, 4] at the cells that learn an object, divided as the others are."""
    loss = codes.sum() * 0
    for n, one in enumerate(learners):
        wanted = targets.codes[n][one.owners]
        weights = one.quality * targets.is_whole[n][one.owners]
        errors = F.smooth_l1_loss(codes[n, one.cells], wanted, beta=SMOOTH_BELOW, reduction="none")
        loss = loss + (errors.sum(dim=1) * weights).sum()
    return loss / total_quality(learners, codes)
