"""Ideas that no number of the recipe switches off, taken out of this process by hand."""

from __future__ import annotations

import torch.nn.functional as F

import backend.nn.detector.network as network
import backend.training.run as run
from backend.nn.detector.heads.boxes.losses import IGNORED, varifocal_loss
from backend.training.detector.start_weights import RANDOM, Start


def without_drawn_start() -> None:
    run.start_from_scenes = lambda _: Start(origin=RANDOM)


def without_dice() -> None:
    def semantic_entropy(logits, targets):
        known = (targets != IGNORED).float()
        entropy = F.binary_cross_entropy_with_logits(logits, (targets == 1).float(), reduction="none")
        return (entropy * known).sum() / known.sum().clamp(min=1)

    def object_entropy(logits, targets):
        return F.binary_cross_entropy_with_logits(logits, targets) if len(logits) else logits.sum()

    network.semantic_loss, network.object_mask_loss = semantic_entropy, object_entropy


def without_quality() -> None:
    """A good box and a poor one are asked for the same score."""

    def all_or_nothing(logits, targets, label_weights):
        return varifocal_loss(logits, (targets > 0).to(targets.dtype), label_weights)

    network.varifocal_loss = all_or_nothing


WITHOUT = {"drawn start": without_drawn_start, "dice": without_dice, "quality": without_quality}
