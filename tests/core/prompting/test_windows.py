from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.prompting.windows import (
    OUTSIDE_RGB,
    Window,
    box_around,
    cut_window,
    draw_clicks,
    draw_outline,
    likely_box,
    move_field,
    stack_prompts,
    whole_image_window,
    window_around,
)


def test_a_window_keeps_a_box_in_its_middle():
    window = window_around([10, 20, 30, 80], 1.5)
    assert window == Window(-25, 5, 90)


def test_the_whole_image_fits():
    assert whole_image_window(ImageSize(300, 200)) == Window(0, -50, 300)


def test_a_window_has_a_side():
    with pytest.raises(ValueError, match="at least 1 px"):
        Window(0, 0, 0)


@pytest.mark.parametrize("side", [40, 80, 160], ids=["enlarged", "same", "shrunk"])
def test_pixels_and_points_move_together(side):
    image = np.zeros((200, 200, 3), np.uint8)
    image[96:104, 76:84] = 255
    window = Window(80 - side // 2, 100 - side // 2, side)
    rows, columns = np.nonzero(cut_window(image, window, 80)[..., 0] > 127)
    middle = [columns.mean() + 0.5, rows.mean() + 0.5]
    np.testing.assert_allclose(middle, window.to_net([[80, 100]], 80)[0], atol=0.6)


def test_outside_is_grey_and_far_outside_nothing_else():
    image = np.full((20, 20, 3), 255, np.uint8)
    assert (cut_window(image, Window(-20, -20, 40), 40)[0, 0] == OUTSIDE_RGB).all()
    assert (cut_window(image, Window(100, 100, 40), 16) == np.array(OUTSIDE_RGB)).all()


@pytest.mark.parametrize("target", [Window(0, 0, 64), Window(0, 10, 40), Window(-64, -64, 512)])
def test_a_field_keeps_its_place_from_another_window(target):
    source = Window(0, 0, 64)
    field = np.zeros((32, 32), np.float32)
    field[12:20, 8:16] = 1
    moved = move_field(field, source, target, 128)
    ys, xs = np.indices(moved.shape)
    total = moved.sum()
    centre_net = np.array([(moved * (xs + 0.5)).sum(), (moved * (ys + 0.5)).sum()]) / total
    centre_orig = centre_net * target.side_px / 128 + [target.left_px, target.top_px]
    np.testing.assert_allclose(centre_orig, [24, 32], atol=target.side_px / 128 + 0.1)
    area_orig = total * (target.side_px / 128) ** 2
    assert area_orig == pytest.approx(16 * 16, rel=0.3)


def test_clicks_and_outlines_outside_leave_nothing():
    assert draw_clicks(np.array([[-50.0, 10.0]], np.float32), 32).max() == 0
    assert draw_outline(np.array([[-9, -9], [-5, -9], [-5, -5]], np.float32), 32).max() == 0


def test_channels_stand_in_their_order():
    positive = draw_clicks(np.array([[5.0, 5.0]], np.float32), 32)
    negative = draw_clicks(np.array([[25.0, 25.0]], np.float32), 32)
    half = np.full((32, 32), 0.5, np.float32)
    stacked = stack_prompts(positive=positive, negative=negative, shape=None, so_far=half, detector=None)
    assert stacked.shape == (5, 32, 32)
    assert stacked[0, 5, 5] == 255 and stacked[1, 25, 25] == 255
    assert stacked[2].max() == 0 and stacked[4].max() == 0
    assert (stacked[3] == 128).all()


def test_a_box_around_boxes_and_points():
    assert box_around([5, 5, 9, 9], np.array([[1, 20]], np.float32)).tolist() == [1, 5, 9, 20]


def test_the_likely_box_lies_where_the_field_is_likely():
    field = np.zeros((10, 10), np.float16)
    assert likely_box(field, Window(5, 7, 20)) is None
    field[2:4, 1:6] = 0.9
    assert likely_box(field, Window(5, 7, 20)).tolist() == [7, 11, 17, 15]
