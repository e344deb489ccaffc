"""The recipe: every number of a training that a user does not set, with its why."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from backend.training.parameters import TrainingParams

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
    # Of the views of pictures that are cut, this share shows a place with a thing; the rest lies anywhere.
    tile_on_thing: float = 0.7
    # Where whole pictures are looked at beside tiles, this share of the views shows one.
    whole_view: float = 0.25
    # An object cut down to less than this share of itself is not asked for.
    visible_min: float = 0.3


AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class Recipe:
    """The numbers of every training, whatever its images and parameters.

    Shares are of all images or of the whole training, 0..1.
    """

    augmentation: Augmentation = AUGMENTATION

    # Held back for choosing the epoch and calibrating scores; below the minimum every image teaches.
    held_out_share: float = 0.10
    held_out_min_images: int = 20
    held_out_min_tasks: int = 2
    held_out_max_images: int = 200
    # Where none is held back, some join late: until then they tell how far scores of learned images flatter.
    late_share: float = 0.20
    late_min_images: int = 8
    # Images that join late teach from here on.
    late_join: float = 0.6

    # A pass over fewer images repeats them: ten images alone would be one step an epoch. Not more often,
    # since somebody who has drawn thirty waits for a first answer: minutes, not a coffee break.
    pass_images_min: int = 18
    pass_repeats: float = 1.6
    pass_images_full: int = 100
    # Below this many images smaller batches buy the steps that are missing.
    few_images: int = 24
    few_images_batch: int = 4

    # Pictures that are cut have more to show: a pass has so many times the views, and at
    # most as many as there are tiles.
    tile_views: float = 4.0
    # Looking at the tiles of held-out pictures takes at most about this share of the time of learning.
    judging_share: float = 0.35

    weight_decay: float = 0.05
    # Short trainings: a long memory of the squared gradient would still hold the first steps.
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_share: float = 0.06
    warmup_steps_max: int = 300
    # How much of the learning rate is left at the end: falling to nothing wastes the last steps, and the
    # average of the weights quiets them as well. From so few steps that the average holds hardly any to so
    # many that it does, in proportion.
    final_rate_averaged: float = 0.4
    final_rate_unaveraged: float = 0.01
    steps_averaged: int = 200
    steps_unaveraged: int = 100
    # Windows and attention diverge at the rate that suits convolutions from scratch.
    transformer_rate: float = 0.3
    # The backbone of an earlier version knows the project already; one of ImageNet has to learn as fast as
    # the rest, or it stays behind where pictures are unlike photographs.
    version_backbone_rate: float = 0.15
    gradient_norm_max: float = 10.0
    # Weights are averaged over about this share of the training.
    ema_share: float = 0.06
    # Small first: most of what there is to learn shows at 70 % of the size for half the time.
    size_share_start: float = 0.7
    size_full_from: float = 0.5
    # Mosaics look like nothing that will ever be predicted: the last part goes without.
    mosaic_until: float = 0.8
    # The network's own opinion enters the assignment gradually.
    trust_full_from: float = 0.2
    # How much a part of the loss counts; one that is not named counts once.
    loss_weights: tuple[tuple[str, float], ...] = (("box", 2.0),)
    label_weight_max: float = 3.0

    # Early epochs are judged now and then only: they are never the best.
    early_share: float = 0.4
    early_every: int = 5
    # Epochs that are all surely worse than the best on the held-out part that end the training.
    patience_share: float = 0.4
    patience_min: int = 20
    # Every epoch is written down, unless that took more than this share of the time (short ones on a GPU).
    checkpoint_share: float = 0.1

    # The smart tools are tuned for this share of the training's time, within bounds; both 0: not at all.
    tuning_share: float = 0.2
    tuning_seconds_min: float = 20.0
    tuning_seconds_max: float = 240.0

    def tuning_seconds(self, learning_seconds: float) -> float:
        """Return how long the smart tools are tuned after a training of so many seconds."""
        return min(
            max(learning_seconds * self.tuning_share, self.tuning_seconds_min), self.tuning_seconds_max
        )

    def images_per_epoch(self, image_count: int) -> int:
        """Return the views shown in one pass over so many images."""
        if image_count >= self.pass_images_full:
            return image_count
        wanted = max(self.pass_images_min, math.ceil(self.pass_repeats * image_count))
        return max(image_count, min(self.pass_images_full, wanted))

    def views_per_epoch(self, image_count: int, tile_count: int) -> int:
        """Return the views shown in one pass over images that are cut into so many tiles together.

        tile_count: 0 where they are not cut.
        """
        views = self.images_per_epoch(image_count)
        return max(views, min(tile_count, round(self.tile_views * views)))

    def judge_every(self, judged_count: int, views: int) -> int:
        """Return after how many epochs of so many views so many tiles of held-out pictures are judged."""
        # Learning from a view takes about three times as long as looking at one.
        return max(1, math.ceil(judged_count / (3 * views * self.judging_share)))

    def final_rate(self, steps: int) -> float:
        """Return the share of the learning rate that is left at the end of so many optimisation steps."""
        at = (self.steps_unaveraged, self.steps_averaged)
        return float(np.interp(steps, at, (self.final_rate_unaveraged, self.final_rate_averaged)))

    def loss_weight(self, part: str) -> float:
        """Return how much a part of the loss counts."""
        return dict(self.loss_weights).get(part, 1.0)


RECIPE = Recipe()
"""The numbers that every training has but those of tests and ablations."""


@dataclass(frozen=True)
class Plan:
    """The recipe of one training, and what follows from it for these images and parameters.

    backbone_rate: the backbone's learning rate as a factor. final_rate: the share of the learning rate that
    is left at the end.
    """

    recipe: Recipe
    epochs: int
    batch_size: int
    images_per_epoch: int
    learning_rate: float
    backbone_rate: float
    image_size_px: int
    final_rate: float

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass."""
        return math.ceil(self.images_per_epoch / self.batch_size)

    def as_card(self) -> dict[str, Any]:
        """Return all numbers as JSON-ready values, those of the recipe among them."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "recipe"}
        numbers = asdict(self.recipe)
        return {
            **own,
            **numbers,
            "betas": list(self.recipe.betas),
            "loss_weights": dict(self.recipe.loss_weights),
        }


def plan_training(
    params: TrainingParams, image_count: int, recipe: Recipe, *, goes_on: bool, tile_count: int = 0
) -> Plan:
    """Return the plan for so many training images; goes_on: from an earlier version of a project.

    tile_count: into how many tiles the images are cut together, 0 where they are not.
    """
    is_transformer = params.backbone.startswith(TRANSFORMERS)
    batch_size = params.batch_size
    if image_count < recipe.few_images:
        batch_size = min(batch_size, recipe.few_images_batch)
    views = recipe.views_per_epoch(image_count, tile_count)
    return Plan(
        recipe=recipe,
        epochs=params.epochs,
        batch_size=batch_size,
        images_per_epoch=views,
        learning_rate=params.learning_rate,
        backbone_rate=(recipe.transformer_rate if is_transformer else 1.0)
        * (recipe.version_backbone_rate if goes_on else 1.0),
        image_size_px=params.image_size,
        final_rate=recipe.final_rate(params.epochs * math.ceil(views / batch_size)),
    )
