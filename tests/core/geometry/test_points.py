from __future__ import annotations

import json

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.placement import Placement
from backend.core.geometry.point_matching import match_points
from backend.core.geometry.points import FoundPoints, LabelledPoint, read_points

SIZE = ImageSize(200, 100)  # near enough: 10 pixels


def found(*points):
    """Found points from (x, y, label), best first."""
    places = np.array([point[:2] for point in points], np.float32).reshape(-1, 2)
    labels = np.array([point[2] for point in points], np.int64)
    scores = np.linspace(0.9, 0.5, len(points)).astype(np.float32)
    return FoundPoints(places, scores, labels, np.full(len(points), -1))


def test_points_come_back_from_json():
    points = [LabelledPoint(1.5, 2.0, 3, 4, 5), LabelledPoint(0.0, 1.0, 0, 0)]
    assert read_points(json.loads(json.dumps(points))) == points
    assert read_points(None) == []


@pytest.mark.parametrize(
    ("guesses", "hits"),
    [
        ([(50, 50, 0)], [True]),
        ([(59, 50, 0)], [True]),
        ([(61, 50, 0)], [False]),
        ([(50, 50, 1)], [False]),
        ([(50, 50, 0), (51, 50, 0)], [True, False]),
        ([], []),
    ],
    ids=["on it", "near", "too far", "another label", "twice", "nothing"],
)
def test_a_point_hits_a_drawn_one_of_its_label_once(guesses, hits):
    match = match_points(found(*guesses), [LabelledPoint(50, 50, 0, 0)], SIZE)
    assert match.hits.tolist() == hits and match.drawn == 1


def test_distances_are_shares_of_the_longer_side():
    match = match_points(found((54, 53, 0)), [LabelledPoint(50, 50, 0, 0)], SIZE)
    assert match.distances.tolist() == pytest.approx([5 / 200])


@pytest.mark.parametrize(
    ("flip_x", "flip_y", "place"),
    [
        (False, False, (12, 24)),
        (True, False, (208, 24)),
        (False, True, (12, 276)),
        (True, True, (208, 276)),
    ],
)
def test_points_follow_their_image(flip_x, flip_y, place):
    """Twice as wide and three times as high, its corner at (10, 20)."""
    placement = Placement(ImageSize(100, 80), 200, 260, 10, 20, flip_x, flip_y, (0, 0, 400, 400))
    moved = placement.points_to_canvas(np.array([[1, 4 * 80 / 260]], np.float32))
    assert moved[0].tolist() == pytest.approx(place)
    assert placement.is_mirrored == (flip_x != flip_y)
