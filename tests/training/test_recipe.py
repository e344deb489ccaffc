"""How many views a training shows, and in which batches."""

from __future__ import annotations

import itertools

import pytest

from backend.training.detector.schedule import learning_rate_factor
from backend.training.parameters import TrainingParams
from backend.training.recipe import Augmentation, final_rate, images_per_epoch, recipe_for


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


@pytest.mark.parametrize(
    ("images", "epochs", "left"),
    [(30, 10, 0.0), (10, 50, 0.4), (30, 50, 0.4), (100, 50, 0.4), (2000, 50, 0.4), (100, 5, 0.0)],
)
def test_the_rate_falls_to_nothing_only_where_there_is_hardly_an_average(
    images: int, epochs: int, left: float
) -> None:
    params = TrainingParams(epochs=epochs)
    recipe = recipe_for(params, images, starts_trained=False, augmentation=Augmentation())
    steps = recipe.epochs * recipe.steps_per_epoch
    assert learning_rate_factor(steps - 1, steps, recipe) == pytest.approx(left, abs=0.02)


def test_the_end_of_the_rate_changes_gradually_with_the_steps() -> None:
    rates = [final_rate(steps) for steps in range(1, 900)]
    assert rates == sorted(rates)
    assert max(after - before for before, after in itertools.pairwise(rates)) < 0.01


@pytest.mark.parametrize(("backbone", "rate"), [("resnet18", 1.0), ("swin_tiny_patch4_window7_224", 0.3)])
def test_a_backbone_that_has_learned_already_moves_more_slowly(backbone: str, rate: float) -> None:
    def backbone_rate(starts_trained: bool) -> float:
        params = TrainingParams(backbone=backbone)
        return recipe_for(
            params, 100, starts_trained=starts_trained, augmentation=Augmentation()
        ).backbone_rate

    assert backbone_rate(False) == pytest.approx(rate)
    assert backbone_rate(True) == pytest.approx(0.15 * rate)
