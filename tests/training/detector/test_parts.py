from dataclasses import replace

import numpy as np
import pytest

from backend.core.geometry.instances import Attributes, ImageSize
from backend.core.geometry.placement import Placement
from backend.training.detector.images import CachedImage
from backend.training.detector.parts import part_of
from backend.training.detector.views import make_view
from backend.training.recipe import AUGMENTATION
from tests.learning_scenes import scene

CUT = CachedImage(*scene(3, size_wh=(400, 300)), tile_side_px=100.0)


def calm(**changes):
    return replace(
        AUGMENTATION,
        zoom_min=1.0,
        zoom_max=1.0,
        stretch=0.0,
        mosaic=0.0,
        copy_paste=0.0,
        flip_horizontal=0.0,
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
        hue_degrees=0.0,
        blur=0.0,
        **{"whole_view": 0.0, **changes},
    )


def test_what_is_not_cut_is_its_own_part_and_costs_no_chance():
    rng = np.random.default_rng(0)
    image = CachedImage(*scene(3))
    part = part_of(image, 10, 10, 0.7, rng)
    assert part.shown is image
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("seed", range(8))
def test_a_part_shows_the_pixels_and_the_labels_of_its_window(seed):
    part = part_of(CUT, 100, 80, 1.0, np.random.default_rng(seed))
    shown, target = part.shown, part.shown.target
    assert shown.size == ImageSize(100, 80)
    window = CUT.image[part.top_px : part.top_px + 80, part.left_px : part.left_px + 100]
    np.testing.assert_array_equal(shown.image, window)
    assert len(target) >= 1  # about a thing
    for box, mask in zip(target.boxes_xyxy_px, target.masks, strict=True):
        there = box + np.tile((part.left_px, part.top_px), 2)
        assert (CUT.target.boxes_xyxy_px == there).all(axis=1).any()
        assert mask.full(shown.size).any()


def test_what_is_said_of_a_thing_stays_with_it_at_its_size_in_a_tile():
    said = (Attributes({"ripe": "yes"}, (0.05, 0.1)), None)
    image = replace(CUT, target=replace(CUT.target, attributes=said))
    for seed in range(8):
        target = part_of(image, 100, 80, 1.0, np.random.default_rng(seed)).shown.target
        for label, one in zip(target.label_indices, target.attributes_by_row, strict=True):
            assert one == (Attributes({"ripe": "yes"}, (0.2, 0.4)) if label == 0 else None)


def test_about_things_and_anywhere_are_mixed():
    rng = np.random.default_rng(0)
    with_things = [
        np.mean([len(part_of(CUT, 60, 60, share, rng).shown.target) > 0 for _ in range(200)])
        for share in (0.0, 1.0)
    ]
    assert with_things[1] == 1
    assert with_things[0] < 0.6


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_the_whole_image_lies_where_its_part_lies(flip_x, flip_y):
    part = part_of(CUT, 100, 80, 1.0, np.random.default_rng(2))
    place = Placement(part.shown.size, 200, 160, 4, 7, flip_x, flip_y, (0, 0, 300, 300))
    whole = part.placement_of_image(place)
    in_image = np.float32([[part.left_px + 10, part.top_px + 20]])
    np.testing.assert_allclose(
        whole.points_to_canvas(in_image), place.points_to_canvas(np.float32([[10, 20]])), atol=1
    )
    assert whole.visible == place.visible


def test_a_view_of_a_tile_shows_things_at_the_tiles_scale():
    sides = []
    for seed in range(10):
        augmentation = calm(tile_on_thing=1.0)
        view = make_view([CUT], 0, (96, 96), augmentation, np.random.default_rng(seed), allow_mosaic=False)
        assert view.image.shape == (96, 96, 3)
        sides += np.ptp(view.target.boxes_xyxy_px.reshape(-1, 2, 2), axis=1).max(axis=1).tolist()
    drawn = np.ptp(CUT.target.boxes_xyxy_px.reshape(-1, 2, 2), axis=1).max()
    assert max(sides) == pytest.approx(drawn * 0.96, abs=2)


def test_some_views_show_the_whole_picture():
    augmentation = calm(whole_view=1.0)
    view = make_view([CUT], 0, (96, 96), augmentation, np.random.default_rng(0), allow_mosaic=False)
    assert len(view.target) == len(CUT.target)


@pytest.mark.parametrize("seed", range(12))
def test_masks_and_boxes_of_views_stay_true(seed):
    augmentation = replace(AUGMENTATION, copy_paste=1.0)
    view = make_view(
        [CUT, replace(CUT)], 0, (96, 96), augmentation, np.random.default_rng(seed), allow_mosaic=True
    )
    assert view.image.shape == (96, 96, 3)
    for box, mask in zip(view.target.boxes_xyxy_px, view.target.masks, strict=True):
        assert (box >= 0).all() and (box <= 96).all()
        rows, columns = np.nonzero(mask.full(view.size))
        assert (columns.min(), rows.min()) == (box[0], box[1])
        assert (columns.max() + 1, rows.max() + 1) == (box[2], box[3])
