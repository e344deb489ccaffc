"""Turned boxes: there and back, overlap, and how they follow what is done to an image."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb, convert_yolo_obb_to_annotation

from backend.core.geometry.boxes import box_iou, rect_pct_to_corners_px
from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.placement import Placement
from backend.core.geometry.polygons import polygon_to_patch
from backend.core.geometry.turned_boxes import (
    NOT_TURNED,
    corners_to_turned,
    is_turned,
    nearest_to_upright,
    patch_to_turned,
    rows_if_any_is_turned,
    turned_bounds,
    turned_boxes_of,
    turned_corners,
    turned_iou,
    turned_to_rect_pct,
    upright_as_turned,
)

SIZE = ImageSize(640, 400)
FAST = settings(max_examples=60, deadline=None)
sides = st.floats(2, 200)
rows = st.tuples(st.floats(0, 640), st.floats(0, 400), sides, sides, st.floats(-360, 360))
sizes = st.builds(ImageSize, st.integers(20, 3000), st.integers(20, 3000))


def as_rows(*boxes):
    return np.array(boxes, np.float32)


def area_of(turned_box):
    return turned_box[2] * turned_box[3]


def same_rectangle(a, b, atol=0.02):
    """Tell whether two rows are one rectangle: each corner of one lies on a corner of the other."""
    (first,), (second,) = turned_corners(a[None]), turned_corners(b[None])
    apart = np.linalg.norm(first[:, None] - second[None], axis=-1)
    return apart.min(axis=1).max() < atol and apart.min(axis=0).max() < atol


@FAST
@given(rows)
def test_corners_and_back_are_the_same_rectangle(row):
    box = as_rows(row)
    back = corners_to_turned(turned_corners(box))
    assert same_rectangle(back[0], box[0])
    assert -45 <= back[0, 4] < 45.001


@FAST
@given(rows, sizes)
def test_percent_and_back_are_the_same_rectangle(row, size):
    (box,) = as_rows(row)
    x, y, width, height, degrees = turned_to_rect_pct(box, size)
    assert 0 <= degrees < 360
    corners = rect_pct_to_corners_px(x, y, width, height, degrees, size)
    assert same_rectangle(corners_to_turned(corners[None])[0], box)


@FAST
@given(rows, sizes)
def test_label_studios_own_converter_reads_the_same_corners(row, size):
    (box,) = nearest_to_upright(as_rows(row))
    names = ("x", "y", "width", "height", "rotation")
    value = dict(zip(names, turned_to_rect_pct(box, size), strict=True))
    recorded = {"original_width": size.width, "original_height": size.height}
    theirs = convert_annotation_to_yolo_obb({**value, **recorded}, normalize=False)
    np.testing.assert_allclose(theirs, turned_corners(box[None])[0], atol=0.02)
    back = convert_yolo_obb_to_annotation(np.ravel(theirs).tolist(), size.width, size.height)
    for name in ("x", "y", "width", "height"):
        assert back[name] == pytest.approx(value[name], abs=0.02)
    assert abs((back["rotation"] - value["rotation"] + 180) % 360 - 180) < 0.02


@pytest.mark.parametrize("quarters", range(-3, 5))
def test_a_rectangle_is_the_same_after_each_quarter_turn(quarters):
    box = as_rows((50, 40, 30, 10, 20))[0]
    turned = box.copy()
    turned[4] += 90 * quarters
    if quarters % 2:
        turned[2:4] = box[3:1:-1]
    np.testing.assert_allclose(nearest_to_upright(turned[None])[0], box, atol=1e-4)


def painted_iou(a, b):
    """Return the IoU as pixels tell it, eight to each pixel's side."""
    masks = []
    for row in (a, b):
        canvas = np.zeros((1600, 1600), np.uint8)
        corners = turned_corners(row[None])[0] * 8
        masks.append(cv2.fillConvexPoly(canvas, np.round((corners - 0.5) * 256).astype(int), 1, shift=8) > 0)
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(70, 130)] * 2, *[st.floats(10, 60)] * 2, st.floats(-180, 180)),
        min_size=2,
        max_size=2,
    )
)
def test_overlap_is_what_pixels_tell(pair):
    a, b = as_rows(*pair)
    assert turned_iou(a[None], b[None])[0, 0] == pytest.approx(painted_iou(a, b), abs=0.02)


@FAST
@given(rows)
def test_a_box_overlaps_itself_and_its_quarter_turns_fully(row):
    box = as_rows(row)
    again = box[:, [0, 1, 3, 2, 4]] + as_rows((0, 0, 0, 0, 90))
    np.testing.assert_allclose(turned_iou(box, np.concatenate([box, again])), 1, atol=1e-3)


def test_upright_boxes_overlap_as_they_always_did():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 80, (12, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 50, (12, 2))], axis=1).astype(np.float32)
    turned = upright_as_turned(boxes)
    np.testing.assert_allclose(turned_iou(turned, turned), box_iou(boxes, boxes), atol=1e-5)
    np.testing.assert_allclose(turned_bounds(turned), boxes, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        pytest.param((0, 0, 10, 10, 45), 0.7071, id="a square turned by half a quarter"),
        pytest.param((10, 0, 10, 10, 0), 0.0, id="side by side"),
        pytest.param((0, 0, 4, 4, 30), 0.16, id="inside"),
        pytest.param((100, 0, 10, 10, 0), 0.0, id="apart"),
    ],
)
def test_known_overlaps(other, iou):
    assert turned_iou(as_rows((0, 0, 10, 10, 0)), as_rows(other))[0, 0] == pytest.approx(iou, abs=1e-3)


def test_without_boxes_there_is_no_overlap():
    nothing = np.zeros((0, 5), np.float32)
    assert turned_iou(nothing, as_rows((0, 0, 1, 1, 0))).shape == (0, 1)
    assert turned_bounds(nothing).shape == (0, 4)
    assert corners_to_turned(np.zeros((0, 4, 2))).shape == (0, 5)


def place(flip_x=False, flip_y=False, width=640, height=400):
    return Placement(SIZE, width, height, 7, -3, flip_x, flip_y, (0, 0, 2000, 2000))


@FAST
@given(rows, st.booleans(), st.booleans(), st.floats(0.3, 3))
def test_a_turned_box_follows_flips_and_scale_exactly(row, flip_x, flip_y, scale):
    size = ImageSize(round(640 * scale / 8) * 8, round(640 * scale / 8) * 5)  # the same shape
    placement = place(flip_x, flip_y, size.width, size.height)
    box = as_rows(row)
    corners = turned_corners(box)[0] * (size.width / 640)
    if flip_x:
        corners[:, 0] = size.width - corners[:, 0]
    if flip_y:
        corners[:, 1] = size.height - corners[:, 1]
    moved = turned_corners(placement.turned_to_canvas(box))[0]
    apart = np.linalg.norm((corners + np.array((7, -3)))[:, None] - moved[None], axis=-1)
    assert apart.min(axis=1).max() < 0.05
    assert area_of(placement.turned_to_canvas(box)[0]) > 0


@FAST
@given(rows)
def test_a_stretched_box_keeps_centre_and_about_its_area_and_bounds(row):
    box = as_rows(row)
    stretched = place(width=704, height=360).turned_to_canvas(box)
    np.testing.assert_allclose(stretched[0, :2], box[0, :2] * (1.1, 0.9) + (7, -3), atol=0.01)
    assert area_of(stretched[0]) == pytest.approx(area_of(box[0]) * 0.99, rel=0.02)


@pytest.mark.parametrize("degrees", [-44, -20, 1, 44])
def test_a_square_that_is_hardly_stretched_hardly_turns(degrees):
    moved = place(width=645).turned_to_canvas(as_rows((300, 200, 40, 40, degrees)))
    assert moved[0, 4] == pytest.approx(degrees, abs=0.5)


@FAST
@given(rows)
def test_the_networks_frame_and_back_are_the_same_rectangle(row):
    letterbox = Letterbox.fit(ImageSize(640, 400), 416)
    box = as_rows(row)
    back = letterbox.turned_to_orig(letterbox.turned_to_net(box))
    assert same_rectangle(back[0], box[0], atol=0.05)


def test_what_was_not_drawn_turned_stays_unknown():
    both = as_rows((50, 40, 30, 10, 20), NOT_TURNED)
    assert is_turned(place(flip_x=True).turned_to_canvas(both)).tolist() == [True, False]
    assert rows_if_any_is_turned([NOT_TURNED]) is None and rows_if_any_is_turned([]) is None
    np.testing.assert_array_equal(rows_if_any_is_turned(list(both)), both)


def test_the_smallest_box_around_a_mask_is_turned_as_the_mask_is():
    drawn = as_rows((120, 90, 80, 20, 30))
    patch = polygon_to_patch(turned_corners(drawn)[0], ImageSize(240, 200))
    assert turned_iou(drawn, patch_to_turned(patch)[None])[0, 0] > 0.9
    target = TrainingTarget(
        ImageSize(240, 200),
        as_rows((0, 0, 9, 9), turned_bounds(drawn)[0], (10, 10, 20, 30)),
        np.zeros(3, np.int64),
        (None, patch, None),
        turned_boxes_px=as_rows((4, 4, 6, 5, 40), NOT_TURNED, NOT_TURNED),
    )
    known = turned_boxes_of(target)
    np.testing.assert_allclose(known[[0, 2]], as_rows((4, 4, 6, 5, 40), (15, 20, 10, 20, 0)))
    assert turned_iou(known[1:2], drawn)[0, 0] > 0.9
