from __future__ import annotations

import numpy as np

from backend.core.acceptance.cutoffs import LEAST_OBJECTS, cutoffs


def detections(count, seed=0):
    """Return scores and hits of detections of which the score is the chance to be right."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.3, 1.0, count).astype(np.float32)
    return scores, rng.random(count) < scores


def one_label(scores, hits, wanted):
    return cutoffs(scores, np.zeros(len(scores), np.int64), hits, 1, wanted)[0]


def test_what_lies_above_the_score_is_right_as_often_as_wanted():
    others, right = detections(20000, seed=1)
    for wanted in (0.8, 0.9):
        realised = []
        for seed in range(8):
            found = one_label(*detections(200, seed), wanted)
            assert found.score is not None and found.precision >= wanted
            realised.append(right[others >= found.score].mean())
        assert np.mean(realised) >= wanted - 0.02


def test_a_higher_precision_takes_a_higher_score():
    scores, hits = detections(600)
    chosen = [one_label(scores, hits, wanted).score for wanted in (0.75, 0.85, 0.93)]
    assert None not in chosen and chosen == sorted(chosen)


def test_few_objects_are_believed_less_than_many():
    scores, hits = np.full(200, 0.9, np.float32), np.ones(200, bool)
    assert one_label(scores[: LEAST_OBJECTS - 1], hits[: LEAST_OBJECTS - 1], 0.8).score is None
    assert one_label(scores[:8], hits[:8], 0.97).score is None
    assert one_label(scores, hits, 0.97).score is not None


def test_each_label_has_its_own_score_and_one_without_objects_has_none():
    scores, hits = detections(1000)
    sure, wrong = np.full(100, 0.95, np.float32), np.zeros(100, bool)
    labels = np.repeat([0, 1], [1000, 100])
    both = cutoffs(np.concatenate([scores, sure]), labels, np.concatenate([hits, wrong]), 3, 0.8)
    assert both[0].score is not None and (both[1].score, both[2].score) == (None, None)
