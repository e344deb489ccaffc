"""What masks of objects are punished for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def object_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy plus dice of object masks [M, s, s] against coverage 0..1; zero for M = 0."""
    if not len(logits):
        return logits.sum()
    entropy = F.binary_cross_entropy_with_logits(logits, targets)
    scores = logits.sigmoid()
    overlap = (scores * targets).sum(dim=(1, 2))
    total = scores.square().sum(dim=(1, 2)) + targets.square().sum(dim=(1, 2))
    return entropy + (1 - (2 * overlap + 1) / (total + 1)).mean()
