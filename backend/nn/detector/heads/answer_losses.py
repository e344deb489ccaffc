"""The loss of chosen options and values: cross entropy with smoothed targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.core.answers.scales import Scale
from backend.nn.detector.heads.answer_layout import Group, Layout

SMOOTHING = 0.1
"""So much of each target is spread over all slots: few images make sure of nothing."""


Taught = Sequence[Mapping[str, Any]]
"""Of each row what was said, by control tag."""


def choice_loss(logits: Tensor, taught: Taught, weights: Tensor, layout: Layout) -> Tensor:
    """Return the mean over control tags of what their slots cost; logits float32 [M, slots], weights [M]."""
    costs = []
    for control, _, groups in layout.of_control():
        of_control = [_group_loss(logits, taught, weights, control, group) for group in groups]
        known = [cost for cost in of_control if cost is not None]
        if known:
            costs.append(torch.stack(known).sum())
    return torch.stack(costs).mean() if costs else logits.sum() * 0.0


def _group_loss(logits: Tensor, taught: Taught, weights: Tensor, control: str, group: Group) -> Tensor | None:
    wanted = [group.wanted(said[control]) if control in said else None for said in taught]
    known = {row: one for row, one in enumerate(wanted) if one is not None}
    if not known:
        return None
    at = torch.tensor(list(known), device=logits.device)
    mine = logits[at][:, list(group.all_slots)]
    target = torch.from_numpy(np.stack(list(known.values()))).to(logits.device)
    if isinstance(group.asked, Scale):  # smooth already
        each = -(target * F.log_softmax(mine, dim=1)).sum(dim=1)
    elif group.is_exclusive:
        smooth = target * (1 - SMOOTHING) + SMOOTHING / target.shape[1]
        each = -(smooth * F.log_softmax(mine, dim=1)).sum(dim=1)
    else:
        smooth = target * (1 - SMOOTHING) + SMOOTHING / 2
        each = F.binary_cross_entropy_with_logits(mine, smooth, reduction="none").mean(dim=1)
    counting = weights[at]
    return (each * counting).sum() / counting.sum()
