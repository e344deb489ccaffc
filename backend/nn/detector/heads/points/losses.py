"""What points are punished for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from backend.nn.detector.heads.points.targets import PointTargets

FOCUS = 2.0
"""How much more cells count that are far off: beta of quality focal loss."""


def heatmap_loss(logits: Tensor, nearness: Tensor) -> Tensor:
    """Return the loss of heatmap logits [N, L, h, w] against wanted scores 0..1, per point of the batch.

    Source: quality focal loss, arXiv 2006.04388, eq. 3.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, nearness, reduction="none")
    weights = (nearness - logits.detach().sigmoid()).abs().pow(FOCUS)
    points = (nearness == 1).sum().clamp(min=1)
    return (entropy * weights).sum() / points


def offset_loss(offsets_x: Tensor, offsets_y: Tensor, targets: PointTargets) -> Tensor:
    """Return the mean smooth L1 distance of offsets [N, L, h, w] at the cells near points; 0 without any."""
    if not len(targets.near):
        return 0 * (offsets_x.sum() + offsets_y.sum())
    image, label, row, column = targets.near.unbind(1)
    along = F.smooth_l1_loss(offsets_x[image, label, row, column], targets.offsets[:, 0], beta=0.5)
    down = F.smooth_l1_loss(offsets_y[image, label, row, column], targets.offsets[:, 1], beta=0.5)
    return along + down
