import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.core.geometry.ellipses import Ellipse, ellipse_to_patch
from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.geometry.polygons import MAX_POINTS, patch_to_polygon, polygon_to_patch

SIZE = ImageSize(120, 100)


def points(*pairs):
    return np.array(pairs, dtype=np.float64)


def drawn(*pairs, size=SIZE):
    patch = polygon_to_patch(points(*pairs), size)
    return None if patch is None else patch.full(size)


def rectangle_mask(left, top, right, bottom):
    mask = np.zeros((SIZE.height, SIZE.width), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        pytest.param(
            [(10, 20), (30, 20), (30, 60), (10, 60)], rectangle_mask(10, 20, 30, 60), id="along pixel edges"
        ),
        pytest.param(
            [(10, 60), (30, 60), (30, 20), (10, 20)], rectangle_mask(10, 20, 30, 60), id="other way round"
        ),
        pytest.param(
            [(9.6, 20), (30.4, 20), (30.4, 60), (9.6, 60)], rectangle_mask(10, 20, 30, 60), id="fractions"
        ),
        pytest.param(
            [(-50, -50), (20, -50), (20, 9), (-50, 9)], rectangle_mask(0, 0, 20, 9), id="sticks out"
        ),
        pytest.param(
            [(-9, -9), (500, -9), (500, 500), (-9, 500)], rectangle_mask(0, 0, 120, 100), id="all around"
        ),
        pytest.param(
            [(5, 5), (5, 5), (9, 5), (9, 8), (9, 8), (5, 8)], rectangle_mask(5, 5, 9, 8), id="doubled points"
        ),
    ],
)
def test_pixels_inside(polygon, expected):
    np.testing.assert_array_equal(drawn(*polygon), expected)


@pytest.mark.parametrize(
    "polygon",
    [
        pytest.param([(5, 5), (50, 5), (90, 5)], id="line"),
        pytest.param([(5, 5), (5, 5), (5, 5)], id="point"),
        pytest.param([(5.1, 5.1), (5.3, 5.1), (5.2, 5.3)], id="between pixel centres"),
        pytest.param([(-30, 5), (-10, 5), (-20, 20)], id="outside left"),
        pytest.param([(130, 5), (150, 5), (140, 20)], id="outside right"),
        pytest.param([(5, 105), (15, 105), (10, 120)], id="outside below"),
    ],
)
def test_no_pixel_is_no_patch(polygon):
    assert drawn(*polygon) is None


def test_a_triangle_has_half_of_its_box():
    assert abs(drawn((0, 0), (100, 0), (0, 100)).sum() - 5000) <= 50


def test_self_crossing_outlines_are_filled_as_the_editor_fills_them():
    bow_tie = drawn((10, 10), (50, 50), (50, 10), (10, 50))
    assert bow_tie[30, 12] and bow_tie[30, 47] and not bow_tie[12, 30]
    pentagram = points(
        *[(60 + 40 * np.sin(k * 4 * np.pi / 5), 50 - 40 * np.cos(k * 4 * np.pi / 5)) for k in range(5)]
    )
    # The middle of a star is wound around twice: empty by the even-odd rule, filled by the nonzero rule.
    assert polygon_to_patch(pentagram, SIZE).full(SIZE)[50, 60]


def test_many_points_over_many_rows_need_bounded_memory():
    rng = np.random.default_rng(0)
    zigzag = rng.random((4000, 2)) * (30, 3000)
    patch = polygon_to_patch(zigzag, ImageSize(30, 3000))
    assert patch.area_px > 80_000


def shape(name):
    if name == "disc":
        return ellipse_to_patch(Ellipse(60, 50, 40, 30), SIZE).full(SIZE)
    if name == "ring":
        outer = ellipse_to_patch(Ellipse(60, 50, 45, 40), SIZE).full(SIZE)
        return outer & ~ellipse_to_patch(Ellipse(60, 50, 25, 20), SIZE).full(SIZE)
    if name == "two parts":
        return rectangle_mask(5, 5, 40, 90) | rectangle_mask(60, 30, 100, 80)
    if name == "three holes":
        mask = rectangle_mask(5, 5, 110, 90)
        for left in (15, 45, 75):
            mask[20:70, left : left + 20] = False
        return mask
    if name == "part within a hole":
        mask = rectangle_mask(5, 5, 110, 95) & ~rectangle_mask(20, 20, 90, 80)
        return mask | rectangle_mask(40, 40, 70, 60)
    if name == "thin cross":
        return rectangle_mask(58, 5, 61, 95) | rectangle_mask(10, 48, 110, 51)
    if name == "at the border":
        return rectangle_mask(0, 0, 120, 100) & ~rectangle_mask(30, 0, 90, 40)
    grain = np.random.default_rng(3).random((SIZE.height, SIZE.width))
    return (cv2.GaussianBlur(grain, (0, 0), 5) > 0.49) & rectangle_mask(10, 10, 110, 90)


@pytest.mark.parametrize(
    ("name", "least_iou"),
    [
        ("disc", 0.97),
        ("ring", 0.95),
        ("two parts", 0.999),
        ("three holes", 0.999),
        ("part within a hole", 0.999),
        ("thin cross", 0.95),
        ("at the border", 0.999),
        ("clouds", 0.85),
    ],
)
def test_mask_to_polygon_and_back(name, least_iou):
    mask = shape(name)
    polygon = patch_to_polygon(MaskPatch.from_full(mask))
    assert 3 <= len(polygon) <= MAX_POINTS
    assert iou(polygon_to_patch(polygon, SIZE).full(SIZE), mask) >= least_iou
    # cv2 fills by the even-odd rule, and every pixel that the outline touches; slits cancel there as well.
    by_cv2 = np.zeros(mask.shape, dtype=np.uint8)
    cv2.fillPoly(by_cv2, [np.round(polygon * 256 - 128).astype(np.int32)], 1, shift=8)
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5)))
    shrunk = cv2.erode(mask.astype(np.uint8), np.ones((5, 5)))
    in_slits = 2 * sum(mask.shape)
    assert np.count_nonzero((by_cv2 > 0) & (grown == 0)) <= in_slits
    assert np.count_nonzero((by_cv2 == 0) & (shrunk > 0)) == 0


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        pytest.param(["#"], {(5, 7), (6, 7), (6, 8), (5, 8)}, id="one pixel"),
        pytest.param(["####"], {(5, 7), (9, 7), (9, 8), (5, 8)}, id="one row"),
        pytest.param(["##", "##"], {(5, 7), (7, 7), (7, 9), (5, 9)}, id="square"),
    ],
)
def test_outlines_run_along_pixel_edges(bits, expected):
    patch = MaskPatch(5, 7, np.array([[character == "#" for character in row] for row in bits]))
    assert {tuple(point) for point in patch_to_polygon(patch).tolist()} == expected


def test_a_small_hole_and_a_small_part_are_left_out():
    mask = rectangle_mask(10, 10, 70, 70)
    mask[30:33, 30:33] = False
    mask[80:84, 80:84] = True
    polygon = patch_to_polygon(MaskPatch.from_full(mask))
    assert len(polygon) == 4
    np.testing.assert_array_equal(polygon_to_patch(polygon, SIZE).full(SIZE), rectangle_mask(10, 10, 70, 70))


@pytest.mark.parametrize("max_points", [4, 12, 30])
def test_fewer_points_on_demand(max_points):
    assert len(patch_to_polygon(MaskPatch.from_full(shape("clouds")), max_points=max_points)) <= max_points


def test_a_finer_tolerance_fits_better():
    mask = shape("disc")
    patch = MaskPatch.from_full(mask)
    scores = [iou(polygon_to_patch(patch_to_polygon(patch, t), SIZE).full(SIZE), mask) for t in (6, 2, 0.4)]
    assert scores == sorted(scores)


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_any_mask_has_an_outline(bits):
    patch = MaskPatch.from_full(bits)
    if patch is None:
        return
    polygon = patch_to_polygon(patch)
    assert 3 <= len(polygon) <= MAX_POINTS
    assert np.isfinite(polygon).all()
    assert (polygon >= 0).all() and (polygon <= (bits.shape[1], bits.shape[0])).all()


@given(st.lists(st.tuples(st.floats(-200, 300), st.floats(-200, 300)), min_size=3, max_size=12))
def test_any_polygon_is_drawn_within_the_image(pairs):
    patch = polygon_to_patch(points(*pairs), SIZE)
    if patch is not None:
        height, width = patch.bits.shape
        assert patch.left_px + width <= SIZE.width and patch.top_px + height <= SIZE.height
        assert patch.area_px > 0


@pytest.mark.parametrize("shape", ["polygon", "ellipse"])
def test_an_area_over_a_large_picture_takes_little_more_memory_than_its_mask(shape):
    size = ImageSize(4000, 4000)
    tracemalloc.start()
    if shape == "polygon":
        patch = polygon_to_patch(points((10, 10), (3990, 10), (3990, 3990), (10, 3990)), size)
    else:
        patch = ellipse_to_patch(Ellipse(2000, 2000, 1990, 1990), size)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert patch.bits.nbytes > 15_000_000
    assert peak_bytes < 150_000_000
