from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.point_matching import match_points
from backend.core.geometry.points import FoundPoints, LabelledPoint
from backend.nn.detector.heads.points.measures import measure_points
from backend.nn.detector.heads.points.thresholds import (
    HIGHEST_LOGIT,
    LOWEST_LOGIT,
    USUAL_LOGIT,
    safe_logit,
    shifted_scores,
)

SIZE = ImageSize(100, 100)
DRAWN = [LabelledPoint(20, 20, 0, 0), LabelledPoint(80, 80, 1, 1)]


def measured(*images):
    """Measures of images whose found points are given as (x, y, label, score), best first."""
    found = [
        FoundPoints(
            np.array([point[:2] for point in points], np.float32).reshape(-1, 2),
            np.array([point[3] for point in points], np.float32),
            np.array([point[2] for point in points], np.int64),
            np.full(len(points), -1),
        )
        for points in images
    ]
    return measure_points(found, [match_points(points, DRAWN, SIZE) for points in found], 2)


def test_exact_points_are_perfect():
    assert measured([(20, 20, 0, 0.9), (80, 80, 1, 0.8)]) == {
        "point_map": 1.0,
        "point_recall": 1.0,
        "point_nearness": 1.0,
    }


def test_invented_points_cost_precision_where_they_score_higher():
    before = measured([(50, 50, 0, 0.95), (20, 20, 0, 0.9), (80, 80, 1, 0.8)])
    after = measured([(20, 20, 0, 0.9), (80, 80, 1, 0.8), (50, 50, 0, 0.5)])
    assert before["point_map"] == pytest.approx(0.75) and after["point_map"] == 1.0


def test_missing_and_misplaced_points_are_not_found():
    result = measured([(22, 20, 0, 0.9)], [(20, 20, 1, 0.9)])
    assert result["point_recall"] == 0.25
    assert result["point_nearness"] == pytest.approx(0.6)


def test_images_without_points_measure_nothing():
    assert measure_points([FoundPoints()], [match_points(FoundPoints(), [], SIZE)], 2) == {}


def test_points_are_shown_from_where_hardly_any_is_wrong():
    logits = np.linspace(2, -2, 80)
    hits = logits > -0.3
    assert safe_logit(logits, hits) == pytest.approx(-0.3, abs=0.06)


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        (np.arange(80) < 5, USUAL_LOGIT),
        (np.ones(80, bool), LOWEST_LOGIT),
        (np.arange(80) % 3 == 1, HIGHEST_LOGIT),
    ],
    ids=["too few to tell", "all are right", "the best are wrong"],
)
def test_few_images_move_the_threshold_only_so_far(hits, expected):
    assert safe_logit(np.linspace(2, -2, 80), hits) == pytest.approx(expected)


def test_the_threshold_has_the_default_score():
    assert shifted_scores(1.2).logits_to_scores(np.array([1.2], np.float32))[0] == pytest.approx(0.30)
