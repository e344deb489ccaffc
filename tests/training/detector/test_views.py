from dataclasses import replace

import numpy as np
import pytest

from backend.nn.detector.heads.boxes.losses import IGNORED
from backend.training.detector.batches import (
    BatchLoader,
    build_batch,
    plan_epoch,
    sampling_weights,
    semantic_target,
)
from backend.training.detector.images import CachedImage, count_labels, label_weights, to_training_size
from backend.training.detector.views import make_view
from backend.training.recipe import Augmentation, Recipe
from tests.learning_scenes import scene

AUGMENTATION = Augmentation()
IMAGES = [CachedImage(*scene(i)) for i in range(4)]
RECIPE = Recipe(10, 2, 8, 0.002, 1.0, 96, AUGMENTATION)


UNCHANGED = Augmentation(
    zoom_min=1, zoom_max=1, stretch=0, mosaic=0, copy_paste=0, flip_horizontal=0,
    brightness=0, contrast=0, saturation=0, hue_degrees=0, blur=0,
)  # fmt: skip


def plain_view(image, target):
    rng = np.random.default_rng(0)
    return make_view([CachedImage(image, target)], 0, (64, 96), UNCHANGED, rng, allow_mosaic=False)


def plans(epoch=0, images=IMAGES, **kwargs):
    settings = {"seed": 1, "batch_size": 2, "is_square": False, **kwargs}
    weights = sampling_weights(images, 2)
    return plan_epoch(images, RECIPE, epoch=epoch, sampling_weights=weights, **settings)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_fit_their_masks_and_lie_inside(seed):
    rng = np.random.default_rng(seed)
    view = make_view(IMAGES, seed % 4, (64, 96), AUGMENTATION, rng, allow_mosaic=True)
    assert view.image.shape == (64, 96, 3)
    assert view.image.dtype == np.uint8
    for box, mask in zip(view.boxes_xyxy_px, view.masks, strict=True):
        rows, columns = mask.bits.shape
        assert box.tolist() == [mask.left_px, mask.top_px, mask.left_px + columns, mask.top_px + rows]
        assert mask.left_px >= 0
        assert mask.left_px + columns <= 96
        assert mask.top_px >= 0
        assert mask.top_px + rows <= 64
    red = np.array([220, 40, 40])
    calm = replace(AUGMENTATION, brightness=0, contrast=0, saturation=0, hue_degrees=0, blur=0)
    calm_view = make_view(IMAGES, seed % 4, (64, 96), calm, np.random.default_rng(seed), allow_mosaic=True)
    for label, mask in zip(calm_view.label_indices, calm_view.masks, strict=True):
        inside = calm_view.image[mask.full(IMAGES[0].size)]
        is_red = np.abs(inside.astype(int) - red).sum(axis=1).mean() < 150
        assert is_red == (label == 0)


def test_rectangles_without_shape_keep_their_place():
    image, target = scene(1, with_masks=False)
    view = plain_view(image, target)
    np.testing.assert_allclose(view.boxes_xyxy_px, target.boxes_xyxy_px)
    np.testing.assert_array_equal(view.image, image)


def test_an_epoch_is_the_same_again_and_another_is_not():
    assert plans(3) == plans(3)
    assert plans(3) != plans(4)


def test_an_epoch_shows_every_image():
    shown = [i for plan in plans() for i in plan.indices]
    assert set(shown) == {0, 1, 2, 3}
    assert len(shown) == 8


def test_canvases_are_multiples_of_the_stride_and_grow():
    first, last = plans(0)[0].size_hw, plans(9)[0].size_hw
    assert all(side % 32 == 0 for side in (*first, *last))
    assert max(last) == 96
    assert max(first) <= max(last)


def test_portrait_and_landscape_do_not_share_a_batch():
    images = [CachedImage(*scene(i, size_wh=(96, 48) if i % 2 else (48, 96))) for i in range(4)]
    for plan in plans(images=images):
        assert len({i % 2 for i in plan.indices}) == 1


def test_a_batch_has_a_window_per_known_mask():
    batch = build_batch(IMAGES, plans()[0], AUGMENTATION, 2, has_masks=True)
    targets = batch.targets
    assert sum(map(len, targets.windows)) == len(targets.window_masks)
    assert targets.semantic.shape[1:] == (2, batch.images.shape[1] // 4, batch.images.shape[2] // 4)
    assert 0 <= targets.window_masks.min() <= targets.window_masks.max() <= 1


def test_batches_come_in_the_order_of_their_plans():
    loader = BatchLoader(IMAGES, AUGMENTATION, 2, has_masks=True)
    all_plans = plans()
    batches = list(loader.batches(all_plans))
    assert [tuple(b.images.shape[1:3]) for b in batches] == [p.size_hw for p in all_plans]


def test_the_inside_of_a_shapeless_box_is_unknown():
    image, target = scene(1, count=1, with_masks=False)
    semantic = semantic_target(plain_view(image, target), 2)
    x1, y1, x2, y2 = np.round(target.boxes_xyxy_px[0] / 4).astype(int)
    assert (semantic[0, y1:y2, x1:x2] == IGNORED).all()
    assert set(np.unique(semantic[0])) == {0, IGNORED}
    assert (semantic[1] == 0).all()


def test_targets_drawn_on_another_size_follow_the_image():
    image, target = scene(2)
    larger = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    cached = to_training_size(larger, target, 48)
    assert cached.image.shape == (32, 48, 3)
    np.testing.assert_allclose(cached.target.boxes_xyxy_px, target.boxes_xyxy_px / 2, atol=1)


def test_rare_labels_weigh_more_up_to_a_limit():
    np.testing.assert_allclose(label_weights(np.array([100, 25, 1, 0]), 3.0), [1, 2, 3, 3])
    assert count_labels(IMAGES, 3).tolist() == [4, 4, 0]


def test_images_with_rare_labels_are_drawn_more_often():
    images = [CachedImage(*scene(i, count=1)) for i in range(9)] + [CachedImage(*scene(9, count=2))]
    weights = sampling_weights(images, 2)
    assert weights[9] > 1.5 * weights[0]
    assert weights.mean() == pytest.approx(1)
