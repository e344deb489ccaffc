from dataclasses import replace

import numpy as np
import pytest

from backend.core.geometry.instances import Attributes, ImageSize, TrainingTarget
from backend.nn.detector.heads.choices.head import CHOICES
from backend.training.detector.images import CachedImage
from backend.training.detector.views import make_view
from backend.training.recipe import Augmentation
from tests.learning_scenes import scene

AUGMENTATION = Augmentation()
IMAGES = [CachedImage(*scene(i)) for i in range(4)]


UNCHANGED = Augmentation(
    zoom_min=1, zoom_max=1, stretch=0, mosaic=0, copy_paste=0, flip_horizontal=0,
    brightness=0, contrast=0, saturation=0, hue_degrees=0, blur=0,
)  # fmt: skip


def plain_view(image, target):
    rng = np.random.default_rng(0)
    return make_view([CachedImage(image, target)], 0, (64, 96), UNCHANGED, rng, allow_mosaic=False)


def test_what_is_said_of_an_object_notes_that_a_view_mirrors_it():
    image, target = scene(0)
    said = Attributes({"facing": [0]}, (0.2, 0.2))
    one = CachedImage(image, replace(target, attributes=(said,) * len(target)))
    for share in (0, 1):
        augmentation = replace(UNCHANGED, flip_horizontal=share)
        view = make_view([one], 0, (64, 96), augmentation, np.random.default_rng(0), allow_mosaic=False)
        assert view.target.attributes
        assert {of_row.is_mirrored for of_row in view.target.attributes} == {bool(share)}


@pytest.mark.parametrize("seed", range(12))
def test_boxes_fit_their_masks_and_lie_inside(seed):
    rng = np.random.default_rng(seed)
    view = make_view(IMAGES, seed % 4, (64, 96), AUGMENTATION, rng, allow_mosaic=True)
    assert view.image.shape == (64, 96, 3)
    assert view.image.dtype == np.uint8
    for box, mask in zip(view.target.boxes_xyxy_px, view.target.masks, strict=True):
        rows, columns = mask.bits.shape
        assert box.tolist() == [mask.left_px, mask.top_px, mask.left_px + columns, mask.top_px + rows]
        assert mask.left_px >= 0
        assert mask.left_px + columns <= 96
        assert mask.top_px >= 0
        assert mask.top_px + rows <= 64
    red = np.array([220, 40, 40])
    calm = replace(AUGMENTATION, brightness=0, contrast=0, saturation=0, hue_degrees=0, blur=0)
    calm_view = make_view(IMAGES, seed % 4, (64, 96), calm, np.random.default_rng(seed), allow_mosaic=True)
    for label, mask in zip(calm_view.target.label_indices, calm_view.target.masks, strict=True):
        inside = calm_view.image[mask.full(IMAGES[0].size)]
        is_red = np.abs(inside.astype(int) - red).sum(axis=1).mean() < 150
        assert is_red == (label == 0)


def test_rectangles_without_shape_keep_their_place():
    image, target = scene(1, with_masks=False)
    view = plain_view(image, target)
    np.testing.assert_allclose(view.target.boxes_xyxy_px, target.boxes_xyxy_px)
    np.testing.assert_array_equal(view.image, image)


def test_an_object_of_which_a_view_shows_too_little_is_not_asked_for():
    image, _ = scene(0)
    box = np.array([[38, 22, 58, 42]], np.float32)
    one = CachedImage(image, TrainingTarget(ImageSize(96, 64), box, np.zeros(1, np.int64), (None,)))
    closer = replace(UNCHANGED, zoom_min=3, zoom_max=3, visible_min=0.3)
    shares = []
    for seed in range(60):
        view = make_view([one], 0, (64, 96), closer, np.random.default_rng(seed), allow_mosaic=False)
        sides = view.target.boxes_xyxy_px[:, 2:] - view.target.boxes_xyxy_px[:, :2]
        shares += (sides.prod(axis=1) / (60 * 60)).tolist()
    assert 0 < len(shares) < 60
    assert 0.3 <= min(shares) < 0.5 < max(shares)


def test_a_view_into_which_objects_were_pasted_says_nothing_of_the_image_as_a_whole():
    images = [CachedImage(image, replace(target, extras={"choices": {"sky": [0]}})) for image, target in
              (scene(number) for number in range(4))]  # fmt: skip
    for share in (0.0, 1.0):
        pasting = replace(UNCHANGED, copy_paste=share)
        rng = np.random.default_rng(0)
        view = make_view(images, 0, (64, 96), pasting, rng, allow_mosaic=False, heads=(CHOICES,))
        has_more = not np.array_equal(view.image, images[0].image)
        assert has_more == bool(share)
        assert bool(view.target.extras["choices"]) != has_more


@pytest.mark.parametrize("seed", range(20))
def test_an_object_of_several_labels_stays_one_in_every_view(seed):
    """Rows of one object are moved, cut, pasted and hidden together."""
    images = []
    for number in range(4):
        image, target = scene(number)
        twice = np.repeat(np.arange(len(target)), 2)
        labels = np.stack([target.label_indices, target.label_indices + 2], axis=1).ravel()
        masks = tuple(target.masks[k] for k in twice)
        images.append(
            CachedImage(image, TrainingTarget(target.size, target.boxes_xyxy_px[twice], labels, masks))
        )
    often = replace(AUGMENTATION, copy_paste=1.0)
    rng = np.random.default_rng(seed)
    view = make_view(images, seed % 4, (64, 96), often, rng, allow_mosaic=True).target
    for number in range(view.object_count):
        mine = view.object_of_row == number
        labels = sorted(view.label_indices[mine].tolist())
        assert labels in ([0, 2], [1, 3])
