"""The loss of chosen options: cross entropy with smoothed targets."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.nn.detector.heads.choices.layout import Group, Layout
from backend.nn.detector.heads.choices.targets import ChoiceTargets

SMOOTHING = 0.1
"""So much of each target is spread over all slots: few images make sure of nothing."""


def choice_loss(logits: Tensor, targets: ChoiceTargets, layout: Layout) -> Tensor:
    """Return the mean over control tags of what their options cost; logits float32 [M, slots]."""
    costs = []
    for control, _, groups in layout.of_control():
        of_control = [_group_loss(logits, targets, control, group) for group in groups]
        known = [cost for cost in of_control if cost is not None]
        if known:
            costs.append(torch.stack(known).sum())
    return torch.stack(costs).mean() if costs else logits.sum() * 0.0


def _group_loss(logits: Tensor, targets: ChoiceTargets, control: str, group: Group) -> Tensor | None:
    wanted = [group.wanted(chosen[control]) if control in chosen else None for chosen in targets.chosen]
    known = {row: one for row, one in enumerate(wanted) if one is not None}
    if not known:
        return None
    at = torch.tensor(list(known), device=logits.device)
    mine = logits[at][:, list(group.all_slots)]
    target = torch.from_numpy(np.stack(list(known.values()))).to(logits.device)
    if group.is_exclusive:
        smooth = target * (1 - SMOOTHING) + SMOOTHING / target.shape[1]
        each = -(smooth * F.log_softmax(mine, dim=1)).sum(dim=1)
    else:
        smooth = target * (1 - SMOOTHING) + SMOOTHING / 2
        each = F.binary_cross_entropy_with_logits(mine, smooth, reduction="none").mean(dim=1)
    weights = targets.weights[at]
    return (each * weights).sum() / weights.sum()
