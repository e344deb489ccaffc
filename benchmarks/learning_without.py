"""Ideas that no number of the recipe switches off, taken out of this process by hand."""

from __future__ import annotations

import torch.nn.functional as F

import backend.nn.detector.heads.boxes.losses as box_losses
import backend.nn.detector.heads.masks.head as masks
import backend.training.detector.pretrained as pretrained
import backend.training.run as run
from backend.nn.detector.heads.semantic import IGNORED
from backend.training.detector.start_weights import RANDOM, Start


def without_drawn_start() -> None:
    run.start_from_shipped = lambda *_: Start(origin=RANDOM)


def without_learned_neck() -> None:
    """Neck and heads start at random, also behind a backbone that has learned."""
    pretrained.take_over_neck_and_heads = lambda *_: None


def without_dice() -> None:
    def semantic_entropy(logits, targets):
        known = (targets != IGNORED).float()
        entropy = F.binary_cross_entropy_with_logits(logits, (targets == 1).float(), reduction="none")
        return (entropy * known).sum() / known.sum().clamp(min=1)

    def object_entropy(logits, targets):
        return F.binary_cross_entropy_with_logits(logits, targets) if len(logits) else logits.sum()

    masks.semantic_loss, masks.object_mask_loss = semantic_entropy, object_entropy


def without_quality() -> None:
    """A good box and a poor one are asked for the same score."""

    varifocal_loss = box_losses.varifocal_loss

    def all_or_nothing(logits, targets, label_weights):
        return varifocal_loss(logits, (targets > 0).to(targets.dtype), label_weights)

    box_losses.varifocal_loss = all_or_nothing


WITHOUT = {
    "drawn start": without_drawn_start,
    "learned neck": without_learned_neck,
    "dice": without_dice,
    "quality": without_quality,
}
