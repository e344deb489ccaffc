import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.geometry.ellipses import Ellipse, box_to_ellipse, ellipse_to_patch, patch_to_ellipse
from backend.core.geometry.instances import ImageSize, MaskPatch

SIZE = ImageSize(200, 150)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_circle_covers_the_pixels_whose_centre_is_inside():
    patch = ellipse_to_patch(Ellipse(3, 3, 2, 2), SIZE)
    rows = ["".join(".#"[int(value)] for value in row) for row in patch.bits]
    assert rows == [".##.", "####", "####", ".##."]
    assert (patch.left_px, patch.top_px) == (1, 1)


@pytest.mark.parametrize(
    ("ellipse", "box"),
    [
        pytest.param(Ellipse(50, 40, 20, 10), (30, 30, 70, 50), id="upright"),
        pytest.param(Ellipse(50, 40, 20, 10, 90), (40, 20, 60, 60), id="quarter turn"),
        pytest.param(Ellipse(50, 40, 20, 20, 33), (30, 20, 70, 60), id="circle"),
        pytest.param(
            Ellipse(0, 0, 3, 4, 45), (-(12.5**0.5), -(12.5**0.5), 12.5**0.5, 12.5**0.5), id="diagonal"
        ),
    ],
)
def test_the_box_around(ellipse, box):
    np.testing.assert_allclose(ellipse.box_xyxy, box, atol=1e-9)


@pytest.mark.parametrize(
    "ellipse",
    [
        pytest.param(Ellipse(500, 10, 20, 10), id="outside"),
        pytest.param(Ellipse(50, 50, 0, 10), id="no width"),
        pytest.param(Ellipse(50, 50, 10, -1), id="negative radius"),
        pytest.param(Ellipse(50, 50, 0.1, 0.1), id="between pixel centres"),
    ],
)
def test_no_pixel_is_no_patch(ellipse):
    assert ellipse_to_patch(ellipse, SIZE) is None


def test_what_sticks_out_is_cut_off():
    patch = ellipse_to_patch(Ellipse(0, 0, 10, 10), SIZE)
    assert (patch.left_px, patch.top_px) == (0, 0) and patch.bits.shape == (10, 10)


@given(
    st.floats(60, 140),
    st.floats(60, 90),
    st.floats(4, 55),
    st.floats(4, 55),
    st.floats(-180, 180),
)
def test_mask_and_back(x, y, radius_x, radius_y, rotation):
    patch = ellipse_to_patch(Ellipse(x, y, radius_x, radius_y, rotation), SIZE)
    found = patch_to_ellipse(patch)
    assert -45 <= found.rotation_deg <= 45
    assert iou(patch.full(SIZE), ellipse_to_patch(found, SIZE).full(SIZE)) > 0.94


def test_rotation_is_clockwise_on_the_screen():
    found = patch_to_ellipse(ellipse_to_patch(Ellipse(80, 70, 40, 12, 30), SIZE))
    assert abs(found.rotation_deg - 30) < 1
    assert abs(found.radius_x - 40) < 1 and abs(found.radius_y - 12) < 1


def test_one_pixel_has_radii():
    found = patch_to_ellipse(MaskPatch(7, 9, np.ones((1, 1), dtype=bool)))
    assert (found.center_x, found.center_y) == (7.5, 9.5)
    assert found.radius_x == pytest.approx(3**-0.5) and found.radius_y == pytest.approx(3**-0.5)
    assert found.rotation_deg == 0


@pytest.mark.parametrize("shape", [(40, 30), (1, 60), (60, 1), (2000, 1500)])
def test_moments_are_those_of_the_plain_formula(shape):
    bits = np.random.default_rng(shape[0]).random(shape) < np.linspace(0.1, 0.9, shape[1])
    bits[:: shape[0]] = True
    bits &= np.add.outer(np.arange(shape[0]), 2 * np.arange(shape[1])) < shape[0] + shape[1]
    left, top = 70_000, 90_000
    rows, columns = np.nonzero(bits)
    covariance = np.atleast_2d(np.cov(np.stack([columns, rows]).astype(float), bias=True)) + np.eye(2) / 12
    found = patch_to_ellipse(MaskPatch(left, top, bits))
    cos, sin = np.cos(np.radians(found.rotation_deg)), np.sin(np.radians(found.rotation_deg))
    turn = np.array([[cos, -sin], [sin, cos]])
    again = turn @ np.diag([found.radius_x**2 / 4, found.radius_y**2 / 4]) @ turn.T
    np.testing.assert_allclose(again, covariance, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        (found.center_x, found.center_y), (columns.mean() + left + 0.5, rows.mean() + top + 0.5)
    )


def test_a_patch_of_100_megapixels_costs_no_more_than_itself():
    bits = np.ones((10_000, 10_000), dtype=np.bool_)
    tracemalloc.start()
    try:
        found = patch_to_ellipse(MaskPatch(0, 0, bits))
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most_bytes < 50_000_000
    assert (found.center_x, found.center_y, found.rotation_deg) == (5000, 5000, 0)
    assert found.radius_x == found.radius_y == pytest.approx(2 * (10_000**2 / 12) ** 0.5)


def test_inscribed_in_a_box():
    assert box_to_ellipse(np.array([10, 20, 50, 40], dtype=np.float32)) == Ellipse(30, 30, 20, 10)
