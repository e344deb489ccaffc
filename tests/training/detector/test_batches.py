from dataclasses import replace

import numpy as np
import pytest

from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.training.detector.batches import BatchLoader, build_batch, plan_epoch, sampling_weights
from backend.training.detector.images import CachedImage
from backend.training.recipe import Augmentation, Plan, Recipe
from tests.learning_scenes import scene

AUGMENTATION = Augmentation()
IMAGES = [CachedImage(*scene(i)) for i in range(4)]
PLAN = Plan(Recipe(), 10, 2, 8, 0.002, 1.0, 96, 0.4)
HEADS = (BOXES, MASKS)


def plans(epoch=0, images=IMAGES, **kwargs):
    settings = {"seed": 1, "batch_size": 2, "is_square": False, **kwargs}
    weights = sampling_weights(images)
    return plan_epoch(images, PLAN, epoch=epoch, sampling_weights=weights, **settings)


def test_an_epoch_is_the_same_again_and_another_is_not():
    assert plans(3) == plans(3)
    assert plans(3) != plans(4)


def test_an_epoch_shows_every_image():
    shown = [i for plan in plans() for i in plan.indices]
    assert set(shown) == {0, 1, 2, 3}
    assert len(shown) == 8


def test_what_is_left_over_by_full_batches_is_shown_too():
    # One picture much wider than the others comes last in the order of shapes.
    images = [CachedImage(*scene(i)) for i in range(8)] + [CachedImage(*scene(8, size_wh=(96, 32)))]
    plan = replace(PLAN, images_per_epoch=9, batch_size=4)
    weights = np.ones(9, np.float32)
    for epoch in range(3):
        made = plan_epoch(
            images, plan, epoch=epoch, seed=1, batch_size=4, is_square=False, sampling_weights=weights
        )
        assert sorted(i for one in made for i in one.indices) == list(range(9))
        assert sorted(len(one.indices) for one in made) == [2, 3, 4]
        assert len(made) == plan.steps_per_epoch


def test_canvases_are_multiples_of_the_stride_and_grow():
    first, last = plans(0)[0].size_hw, plans(9)[0].size_hw
    assert all(side % 32 == 0 for side in (*first, *last))
    assert max(first) < max(last) == 96


def test_the_last_part_of_a_training_goes_without_mosaics():
    allowed = [{plan.allow_mosaic for plan in plans(epoch)} for epoch in range(PLAN.epochs)]
    assert allowed == [{True}] * 8 + [{False}] * 2


def test_portrait_and_landscape_do_not_share_a_batch():
    images = [CachedImage(*scene(i, size_wh=(96, 48) if i % 2 else (48, 96))) for i in range(4)]
    for epoch in range(8):
        for plan in plans(epoch, images):
            assert len({i % 2 for i in plan.indices}) == 1


def test_a_batch_has_a_window_per_known_mask():
    batch = build_batch(IMAGES, plans()[0], AUGMENTATION, 2, HEADS)
    targets = batch.targets["masks"]
    assert sum(map(len, targets.windows)) == len(targets.covered)
    assert targets.semantic.shape[1:] == (2, batch.images.shape[1] // 4, batch.images.shape[2] // 4)
    assert 0 <= targets.covered.min() <= targets.covered.max() <= 1


def test_batches_come_in_the_order_of_their_plans():
    loader = BatchLoader(IMAGES, AUGMENTATION, 2, HEADS)
    all_plans = plans()
    batches = list(loader.batches(all_plans))
    wanted = [build_batch(IMAGES, plan, AUGMENTATION, 2, HEADS) for plan in all_plans]
    assert [batch.images.tolist() for batch in batches] == [batch.images.tolist() for batch in wanted]


def test_images_with_rare_labels_are_drawn_more_often():
    images = [CachedImage(*scene(i, count=1)) for i in range(9)] + [CachedImage(*scene(9, count=2))]
    weights = sampling_weights(images)
    assert weights[9] > 1.5 * weights[0]
    assert weights.mean() == pytest.approx(1)
