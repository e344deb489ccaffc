"""Points follow their images exactly through every view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.core.geometry.points import points_of
from backend.nn.detector.heads.points.head import POINTS_HEAD
from backend.training.detector.images import CachedImage, to_training_size
from backend.training.detector.views import make_view
from backend.training.recipe import Augmentation
from tests.point_scenes import EAR, NOSE, SIZE, body, target

CALM = Augmentation(brightness=0, contrast=0, saturation=0, hue_degrees=0, blur=0)


def images(count=4):
    return [CachedImage(image, target(points)) for image, points in map(body, range(count))]


def view(seed, augmentation=CALM, mosaic=True):
    rng = np.random.default_rng(seed)
    return make_view(
        images(), seed % 4, (64, 96), augmentation, rng, allow_mosaic=mosaic, heads=[POINTS_HEAD]
    )


@pytest.mark.parametrize("seed", range(16))
def test_a_point_lies_on_what_it_names(seed):
    """Zoomed, stretched, mirrored, cut and beside other images: the dot below each point has its colour."""
    shown = view(seed)
    for point in points_of(shown.target):
        assert 0 <= point.x_px <= 96 and 0 <= point.y_px <= 64
        row, column = min(int(point.y_px), 63), min(int(point.x_px), 95)
        wanted = np.array(NOSE if point.label_index == 0 else EAR)
        assert np.abs(shown.image[row, column].astype(int) - wanted).sum() < 160


def test_views_of_several_images_show_the_points_of_each():
    shown = [points_of(view(seed).target) for seed in range(16)]
    assert max(map(len, shown)) > 3
    assert {point.label_index for points in shown for point in points} == {0, 1, 2}


def side_of_left_ear(points):
    """The way round from the nose over the left to the right ear, by the sign of the triangle's area."""
    at = {point.label_index: np.array([point.x_px, point.y_px]) for point in points}
    nose, left, right = at[0], at[1], at[2]
    (a, b), (c, d) = left - nose, right - nose
    return np.sign(a * d - b * c)


@pytest.mark.parametrize(("flip_x", "flip_y"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_mirrored_left_ear_is_a_right_ear(flip_x, flip_y):
    still = replace(CALM, zoom_min=1, zoom_max=1, stretch=0, copy_paste=0, flip_horizontal=0)
    turned = replace(still, flip_horizontal=flip_x, flip_vertical=flip_y)
    before, after = (
        points_of(view(1, still, mosaic=False).target),
        points_of(view(1, turned, mosaic=False).target),
    )
    assert side_of_left_ear(after) == side_of_left_ear(before)
    xs = [96 - p.x_px if flip_x else p.x_px for p in before]
    assert [p.x_px for p in after] == pytest.approx(xs, abs=0.01)


def test_points_are_brought_to_the_size_of_the_training_and_keep_their_object():
    image, points = body(3)
    points = [point._replace(object_index=7) for point in points]
    cached = to_training_size(image, target(points), 2 * SIZE.width, [POINTS_HEAD])
    moved = points_of(cached.target)
    assert [p.x_px for p in moved] == pytest.approx([2 * p.x_px for p in points])
    assert [p.y_px for p in moved] == pytest.approx([2 * p.y_px for p in points])
    assert {p.object_index for p in moved} == {7}


def test_points_that_a_view_cuts_off_are_not_asked_for():
    zoomed = replace(CALM, zoom_min=3, zoom_max=3, flip_horizontal=0)
    shown = [points_of(view(seed, zoomed, mosaic=False).target) for seed in range(12)]
    assert min(map(len, shown)) < 3 and any(shown)
    assert all(0 <= point.x_px <= 96 and 0 <= point.y_px <= 64 for points in shown for point in points)
