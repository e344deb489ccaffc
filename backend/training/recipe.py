"""The recipe: every number of the training that a user does not set, with its why."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backend.training.parameters import TrainingParams

# Held back for choosing the epoch and calibrating scores; below the minimum every image teaches.
HELD_OUT_SHARE = 0.10
HELD_OUT_MIN_IMAGES = 20
HELD_OUT_MIN_TASKS = 2
HELD_OUT_MAX_IMAGES = 200
# Where none is held back, some join late: until then they tell how far scores of learned images flatter.
LATE_SHARE = 0.20
LATE_MIN_IMAGES = 8
# A pass over fewer images repeats them: ten images alone would be one step an epoch. Not more often, since
# somebody who has drawn thirty waits for a first answer: minutes, not a coffee break.
PASS_IMAGES_MIN = 18
PASS_REPEATS = 1.6
PASS_IMAGES_FULL = 100
# Below this many images smaller batches buy the steps that are missing.
FEW_IMAGES = 24
FEW_IMAGES_BATCH = 4
# How much of the learning rate is left at the end: falling to nothing wastes the last steps, and the
# average of the weights quiets them as well. From so few steps that the average holds hardly any to so many
# that it does, in proportion.
FINAL_RATE = 0.4
FINAL_RATE_UNAVERAGED = 0.01
STEPS_UNAVERAGED, STEPS_AVERAGED = 100, 200
# Windows and attention diverge at the rate that suits convolutions from scratch.
TRANSFORMER_RATE = 0.3
PRETRAINED_BACKBONE_RATE = 0.15
TRANSFORMERS = ("vit", "swin", "maxvit", "deit", "beit", "eva", "coatnet", "pvt", "mvit", "maxxvit")


@dataclass(frozen=True)
class Augmentation:
    """How much a view may differ from its image. Probabilities 0..1, scales as factors."""

    zoom_min: float = 0.6
    zoom_max: float = 1.6
    stretch: float = 0.12
    # Four images in one view show four times the objects for the price of one.
    mosaic: float = 0.5
    # With exact masks a pasted object is a new scene; with boxes it would be a visible patch.
    copy_paste: float = 0.5
    flip_horizontal: float = 0.5
    flip_vertical: float = 0.0
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    hue_degrees: float = 8.0
    blur: float = 0.1
    # An object cut down to less than this share of itself is not asked for.
    visible_min: float = 0.3


@dataclass(frozen=True)
class Recipe:
    """The numbers of one training."""

    epochs: int
    batch_size: int
    images_per_epoch: int
    learning_rate: float
    backbone_rate: float
    image_size_px: int
    augmentation: Augmentation
    weight_decay: float = 0.05
    # Short trainings: a long memory of the squared gradient would still hold the first steps.
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_share: float = 0.06
    warmup_steps_max: int = 300
    # The share of the learning rate that is left at the end.
    final_rate: float = FINAL_RATE
    gradient_norm_max: float = 10.0
    # Weights are averaged over about this share of the training.
    ema_share: float = 0.06
    # Small first: most of what there is to learn shows at 70 % of the size for half the time.
    size_share_start: float = 0.7
    size_full_from: float = 0.5
    # Mosaics look like nothing that will ever be predicted: the last part goes without.
    mosaic_until: float = 0.8
    # Images that join late teach from here on.
    late_join: float = 0.6
    # The network's own opinion enters the assignment gradually.
    trust_full_from: float = 0.2
    # How much a part of the loss counts; one that is not named counts once.
    loss_weights: tuple[tuple[str, float], ...] = (("box", 2.0),)
    label_weight_max: float = 3.0
    # Epochs that are all surely worse than the best on the held-out part, as a share of all, that end it.
    patience_share: float = 0.4
    patience_min: int = 20

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**asdict(self), "betas": list(self.betas), "loss_weights": dict(self.loss_weights)}

    def loss_weight(self, part: str) -> float:
        """Return how much a part of the loss counts."""
        return dict(self.loss_weights).get(part, 1.0)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass."""
        return math.ceil(self.images_per_epoch / self.batch_size)


def recipe_for(
    params: TrainingParams, image_count: int, *, starts_trained: bool, augmentation: Augmentation
) -> Recipe:
    """Return the recipe for so many training images; starts_trained: the backbone has learned already."""
    is_transformer = params.backbone.startswith(TRANSFORMERS)
    rate = (TRANSFORMER_RATE if is_transformer else 1.0) * (
        PRETRAINED_BACKBONE_RATE if starts_trained else 1.0
    )
    batch_size = params.batch_size
    if image_count < FEW_IMAGES:
        batch_size = min(batch_size, FEW_IMAGES_BATCH)
    views = images_per_epoch(image_count)
    return Recipe(
        epochs=params.epochs,
        batch_size=batch_size,
        images_per_epoch=views,
        learning_rate=params.learning_rate,
        backbone_rate=rate,
        image_size_px=params.image_size,
        augmentation=augmentation,
        final_rate=final_rate(params.epochs * math.ceil(views / batch_size)),
    )


def final_rate(steps: int) -> float:
    """Return the share of the learning rate that is left at the end of so many optimisation steps."""
    return float(np.interp(steps, (STEPS_UNAVERAGED, STEPS_AVERAGED), (FINAL_RATE_UNAVERAGED, FINAL_RATE)))


def images_per_epoch(image_count: int) -> int:
    """Return the views shown in one pass over so many images."""
    if image_count >= PASS_IMAGES_FULL:
        return image_count
    wanted = max(PASS_IMAGES_MIN, math.ceil(PASS_REPEATS * image_count))
    return max(image_count, min(PASS_IMAGES_FULL, wanted))
