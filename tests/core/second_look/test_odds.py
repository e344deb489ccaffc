"""The odds of what was learned, where things are as frequent as they seem to be."""

from __future__ import annotations

import numpy as np

from backend.core.second_look.odds import Odds

RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.normal(-2, 1, (90, 1)), RNG.normal(2, 1, (10, 1))])
CLASSES = np.array([0] * 90 + [1] * 10)


def test_a_class_that_no_row_had_is_never_likely_however_much_it_is_expected() -> None:
    odds = Odds.learned(ROWS, CLASSES, 3, np.ones(100))
    adapted, shares = odds.adapted(ROWS, np.array([0.1, 0.1, 0.8]), 500.0)
    assert shares[2] == 0 and not adapted.chances(ROWS)[:, 2].any()
    assert np.allclose(adapted.chances(ROWS).sum(axis=1), 1) and np.isclose(shares.sum(), 1)


def test_shares_follow_the_rows_they_are_adapted_to() -> None:
    odds = Odds.learned(ROWS, CLASSES, 2, np.ones(100))
    _, shares = odds.adapted(np.concatenate([ROWS[:10], ROWS[90:]]), np.array([0.9, 0.1]), 1.0)
    assert 0.4 < shares[1] < 0.6


def test_without_any_row_everything_is_of_the_base_class() -> None:
    odds = Odds.learned(np.zeros((0, 1)), np.zeros(0, np.int64), 2, np.zeros(0))
    adapted, _ = odds.adapted(np.zeros((0, 1)), np.array([0.5, 0.5]), 1.0)
    assert adapted.chances(np.array([[3.0]])).tolist() == [[1.0, 0.0]]
