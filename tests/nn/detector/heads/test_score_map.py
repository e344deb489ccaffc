import numpy as np
import pytest

from backend.nn.detector.heads.score_map import ScoreMap, expected_f1

BENT = ScoreMap((-4.0, 0.0, 2.0), (-6.0, -1.0, 4.0))


@pytest.mark.parametrize("score", [0.01, 0.3, 0.5, 0.999])
def test_there_and_back(score):
    logit = BENT.score_to_logit(score)
    assert BENT.logits_to_scores(np.array([logit]))[0] == pytest.approx(score, abs=1e-5)


def test_keeps_the_order_beyond_the_knots():
    logits = np.linspace(-10, 8, 50)
    assert (np.diff(BENT.logits_to_scores(logits).astype(np.float64)) >= 0).all()


def test_card_there_and_back():
    assert ScoreMap.from_card(BENT.as_card()) == BENT


@pytest.mark.parametrize(
    "knots", [((0.0,), (0.0,)), ((0.0, 1.0), (1.0, 1.0)), ((0.0, 1.0), (0.0, float("nan")))]
)
def test_refuses_what_does_not_rise(knots):
    with pytest.raises(ValueError, match="knots"):
        ScoreMap(*knots)


def test_an_image_of_which_little_is_known_passes_for_solved_only_where_images_are_often_empty():
    doubtful = np.array([0.1] * 5, dtype=np.float32)
    rarely, half, often = (expected_f1(doubtful, 0.3, share) for share in (0.02, 0.5, 0.98))
    assert rarely < 0.05 < half < 0.95 < often
    sure = np.array([0.9, 0.4], dtype=np.float32)
    assert expected_f1(sure, 0.3, 0.02) == expected_f1(sure, 0.3, 0.98) > rarely


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1.0, 1.0], 1.0), ([], 1.0), ([0.9, 0.9, 0.29], 2 * 1.8 / (2 + 2.09)), ([0.2], 0.8)],
    ids=["all-sure", "empty", "one-likely-missed", "nothing-kept"],
)
def test_expected_f1(scores, expected):
    assert expected_f1(np.array(scores, dtype=np.float32), 0.3) == pytest.approx(expected, abs=1e-3)
