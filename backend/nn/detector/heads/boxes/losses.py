"""What the network is punished for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = 255


def varifocal_loss(logits: Tensor, targets: Tensor, label_weights: Tensor, *, alpha: float = 0.75) -> Tensor:
    """Return the summed loss of class logits [.., L] against qualities 0..1 [.., L].

    Positives weigh by their quality (and by label_weights [L]), negatives by how wrong they are.
    Source: VarifocalNet, arXiv 2008.13367, eq. 2.
    """
    scores = logits.detach().sigmoid()
    is_positive = targets > 0
    weights = torch.where(is_positive, targets * label_weights, alpha * scores.square())
    return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights).sum()


def semantic_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy plus dice of semantic logits [N, L, h, w].

    targets uint8 [N, L, h, w]: 0, 1, or IGNORED where nobody knows. A zero that still reaches every logit
    where all is unknown.
    """
    known = (targets != IGNORED).float()
    wanted = (targets == 1).float()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * known
    scores = logits.sigmoid() * known
    overlap = (scores * wanted).sum(dim=(0, 2, 3))
    total = scores.sum(dim=(0, 2, 3)) + wanted.sum(dim=(0, 2, 3))
    # A label absent from the batch has no shape to match; cross-entropy speaks for it.
    present = (wanted.sum(dim=(0, 2, 3)) > 0).float()
    dice = (1 - (2 * overlap + 1) / (total + 1)) * present
    return entropy.sum() / known.sum().clamp(min=1) + dice.sum() / present.sum().clamp(min=1)


def object_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy plus dice of object masks [M, s, s] against coverage 0..1; zero for M = 0."""
    if not len(logits):
        return logits.sum()
    entropy = F.binary_cross_entropy_with_logits(logits, targets)
    scores = logits.sigmoid()
    overlap = (scores * targets).sum(dim=(1, 2))
    total = scores.square().sum(dim=(1, 2)) + targets.square().sum(dim=(1, 2))
    return entropy + (1 - (2 * overlap + 1) / (total + 1)).mean()
