"""How many views a training shows, and in which batches."""

from __future__ import annotations

import pytest

from backend.core.training_params import TrainingParams
from backend.training.recipe import Augmentation, images_per_epoch, recipe_for


@pytest.mark.parametrize(
    ("images", "views"),
    [(1, 18), (10, 18), (20, 32), (30, 48), (63, 100), (99, 100), (100, 100), (2000, 2000)],
)
def test_few_images_are_repeated_and_a_hundred_are_not(images: int, views: int) -> None:
    assert images_per_epoch(images) == views


def test_very_few_images_get_smaller_batches_but_never_larger_ones_than_asked_for() -> None:
    def steps(images: int, batch_size: int) -> tuple[int, int]:
        params = TrainingParams(batch_size=batch_size)
        recipe = recipe_for(params, images, starts_trained=False, augmentation=Augmentation())
        return recipe.batch_size, recipe.steps_per_epoch

    assert steps(10, 8) == (4, 5)
    assert steps(10, 2) == (2, 9)
    assert steps(100, 8) == (8, 13)


@pytest.mark.parametrize(("backbone", "rate"), [("resnet18", 1.0), ("swin_tiny_patch4_window7_224", 0.3)])
def test_a_backbone_that_has_learned_already_moves_more_slowly(backbone: str, rate: float) -> None:
    def backbone_rate(starts_trained: bool) -> float:
        params = TrainingParams(backbone=backbone)
        return recipe_for(
            params, 100, starts_trained=starts_trained, augmentation=Augmentation()
        ).backbone_rate

    assert backbone_rate(False) == pytest.approx(rate)
    assert backbone_rate(True) == pytest.approx(0.15 * rate)
