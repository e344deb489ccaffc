from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.mirroring import has_mirror_images, mirrored_indices
from backend.core.geometry.points import LabelledPoint
from tests.point_scenes import body


@pytest.mark.parametrize(
    ("labels", "mirrored"),
    [
        (("snout", "leftear", "rightear", "tailbase"), (0, 2, 1, 3)),
        (("Left Eye", "nose", "right eye"), (2, 1, 0)),
        (("eye_L", "eye_R", "l-hip", "r-hip"), (1, 0, 3, 2)),
        (("left", "heel", "tail"), (0, 1, 2)),  # no other side: it stays itself
        (("cleft", "roller"), (0, 1)),
    ],
    ids=["joined", "words", "letters", "alone", "inside other words"],
)
def test_sides_are_exchanged_by_their_names(labels, mirrored):
    assert mirrored_indices(labels) == mirrored


def turned_corners(seed, mirrored):
    """Three corners of a part that lies turned somehow, seen from above."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    places = [(50 + 20 * np.cos(angle + turn), 50 + 20 * np.sin(angle + turn)) for turn in (0, 1.5, 3.5)]
    return [LabelledPoint(x, y, k, mirrored[k]) for k, (x, y) in enumerate(places)]


def test_a_body_with_named_sides_has_mirror_images():
    assert has_mirror_images([body(seed)[1] for seed in range(20)])


def test_corners_that_always_go_round_one_way_have_none():
    assert not has_mirror_images([turned_corners(seed, (0, 1, 2)) for seed in range(20)])


def test_a_few_objects_prove_nothing():
    assert has_mirror_images([turned_corners(seed, (0, 1, 2)) for seed in range(5)])


def test_points_that_go_round_both_ways_have_mirror_images():
    """A tool that lies on either of its faces."""
    images = [turned_corners(seed, (0, 1, 2)) for seed in range(20)]
    flipped = [[point._replace(x_px=100 - point.x_px) for point in points] for points in images[::2]]
    assert has_mirror_images([*images[1::2], *flipped])
