"""How many views a training shows, and in which batches."""

from __future__ import annotations

import itertools
import json

import pytest

from backend.training.detector.schedule import learning_rate_factor
from backend.training.parameters import TrainingParams
from backend.training.recipe import RECIPE, Recipe, plan_training


@pytest.mark.parametrize(
    ("images", "views"),
    [(1, 18), (10, 18), (20, 32), (30, 48), (63, 100), (99, 100), (100, 100), (2000, 2000)],
)
def test_few_images_are_repeated_and_a_hundred_are_not(images: int, views: int) -> None:
    assert RECIPE.images_per_epoch(images) == views


def test_very_few_images_get_smaller_batches_but_never_larger_ones_than_asked_for() -> None:
    def steps(images: int, batch_size: int) -> tuple[int, int]:
        params = TrainingParams(batch_size=batch_size)
        plan = plan_training(params, images, RECIPE, goes_on=False)
        return plan.batch_size, plan.steps_per_epoch

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
    plan = plan_training(params, images, RECIPE, goes_on=False)
    steps = plan.epochs * plan.steps_per_epoch
    assert learning_rate_factor(steps - 1, steps, plan) == pytest.approx(left, abs=0.02)


def test_the_end_of_the_rate_changes_gradually_with_the_steps() -> None:
    rates = [RECIPE.final_rate(steps) for steps in range(1, 900)]
    assert rates == sorted(rates)
    assert max(after - before for before, after in itertools.pairwise(rates)) < 0.01


@pytest.mark.parametrize(("backbone", "rate"), [("resnet18", 1.0), ("swin_tiny_patch4_window7_224", 0.3)])
def test_the_backbone_of_an_earlier_version_moves_more_slowly(backbone: str, rate: float) -> None:
    def backbone_rate(goes_on: bool) -> float:
        params = TrainingParams(backbone=backbone)
        return plan_training(params, 100, RECIPE, goes_on=goes_on).backbone_rate

    assert backbone_rate(False) == pytest.approx(rate)
    assert backbone_rate(True) == pytest.approx(0.15 * rate)


def test_the_card_names_every_number_of_a_training() -> None:
    plan = plan_training(TrainingParams(), 30, Recipe(label_weight_max=2.0), goes_on=False)
    card = json.loads(json.dumps(plan.as_card()))
    assert (card["epochs"], card["label_weight_max"], card["loss_weights"]) == (50, 2.0, {"box": 2.0})
    assert card["augmentation"]["mosaic"] == 0.5


@pytest.mark.parametrize(("learning", "tuning"), [(10, 20), (300, 60), (5000, 240)])
def test_the_smart_tools_are_tuned_for_a_fifth_of_the_time_within_bounds(learning: int, tuning: int) -> None:
    assert RECIPE.tuning_seconds(learning) == tuning


def test_the_smart_tools_may_be_left_as_they_are() -> None:
    assert Recipe(tuning_share=0, tuning_seconds_min=0).tuning_seconds(1000) == 0


def test_pictures_that_are_cut_show_up_to_four_times_the_views_in_a_pass() -> None:
    def views(images: int, tiles: int) -> int:
        plan = plan_training(TrainingParams(), images, RECIPE, goes_on=False, tile_count=tiles)
        return plan.images_per_epoch

    assert views(14, 0) == RECIPE.images_per_epoch(14)
    assert views(14, 14 * 36) == 4 * views(14, 0)
    assert views(14, 14 * 4) == 56
    assert views(1000, 1000 * 36) == 4000


def test_held_out_tiles_are_judged_in_a_third_of_the_time_of_learning() -> None:
    assert RECIPE.judge_every(0, 100) == 1
    assert RECIPE.judge_every(2 * 36, 100) == 1
    assert RECIPE.judge_every(20 * 36, 400) == 2
    assert RECIPE.judge_every(200 * 36, 400) == 18
