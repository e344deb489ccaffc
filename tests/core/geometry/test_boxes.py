import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.geometry.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    rect_pct_to_corners_px,
    xyxy_px_to_rect_pct,
)
from backend.core.geometry.instances import ImageSize

SIZE = ImageSize(200, 100)


def boxes(*rows):
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("box", "area"),
    [
        pytest.param((10, 20, 30, 50), 600, id="usual"),
        pytest.param((5, 5, 5, 40), 0, id="no width"),
        pytest.param((9, 9, 3, 12), 0, id="inside out"),
        pytest.param((-5, -5, 5, 5), 100, id="negative corner"),
        pytest.param((0.25, 0, 0.75, 1), 0.5, id="fractions"),
    ],
)
def test_box_area(box, area):
    np.testing.assert_allclose(box_area(boxes(box)), [area])


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 1, id="same"),
        pytest.param((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3, id="half over"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 0, id="edge to edge"),
        pytest.param((0, 0, 10, 10), (50, 50, 60, 60), 0, id="apart"),
        pytest.param((0, 0, 10, 10), (2, 2, 4, 4), 0.04, id="inside"),
        pytest.param((3, 3, 3, 3), (3, 3, 3, 3), 0, id="no area at all"),
    ],
)
def test_box_iou(a, b, iou):
    np.testing.assert_allclose(box_iou(boxes(a), boxes(b)), [[iou]], atol=1e-6)


def test_overlap_of_many_and_of_none():
    assert box_iou(boxes((0, 0, 2, 2), (5, 5, 6, 6)), boxes((0, 0, 2, 1))).tolist() == [[0.5], [0.0]]
    assert box_iou(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)
    assert box_area(boxes()).shape == (0,)


def test_clipping_leaves_its_argument_alone():
    given_boxes = boxes((-10, 5, 250, 60), (210, 5, 260, 20))
    clipped = clip_boxes(given_boxes, SIZE)
    assert clipped.tolist() == [[0, 5, 200, 60], [200, 5, 200, 20]]
    assert given_boxes[0, 0] == -10


@pytest.mark.parametrize(
    ("box", "rect_pct"),
    [
        pytest.param((20, 10, 60, 35), (10, 10, 20, 25), id="usual"),
        pytest.param((0, 0, 200, 100), (0, 0, 100, 100), id="whole image"),
        pytest.param((-20, -5, 20, 50), (0, 0, 10, 50), id="sticks out"),
        pytest.param((300, 10, 320, 20), (100, 10, 0, 10), id="outside"),
    ],
)
def test_corners_to_percent(box, rect_pct):
    np.testing.assert_allclose(xyxy_px_to_rect_pct(boxes(box)[0], SIZE), rect_pct, atol=1e-5)


@pytest.mark.parametrize(
    ("rotation", "corners"),
    [
        pytest.param(0, [(20, 10), (60, 10), (60, 35), (20, 35)], id="upright"),
        pytest.param(90, [(20, 10), (20, 50), (-5, 50), (-5, 10)], id="quarter turn clockwise"),
        pytest.param(180, [(20, 10), (-20, 10), (-20, -15), (20, -15)], id="half turn"),
        pytest.param(-90, [(20, 10), (20, -30), (45, -30), (45, 10)], id="quarter turn back"),
    ],
)
def test_corners_turn_about_the_top_left_one_in_pixels(rotation, corners):
    np.testing.assert_allclose(rect_pct_to_corners_px(10, 10, 20, 25, rotation, SIZE), corners, atol=1e-9)


@given(st.floats(0, 99), st.floats(0, 99), st.floats(0.1, 100), st.floats(0.1, 100))
def test_percent_to_corners_and_back(x, y, width, height):
    width, height = min(width, 100 - x), min(height, 100 - y)
    corners = rect_pct_to_corners_px(x, y, width, height, 0, SIZE)
    box = np.concatenate((corners[0], corners[2])).astype(np.float32)
    np.testing.assert_allclose(xyxy_px_to_rect_pct(box, SIZE), (x, y, width, height), atol=1e-4)
