"""What a report counts, from drawn and found boxes alone."""

from __future__ import annotations

import json

import numpy as np

from backend.core.evaluation.evaluation import Evaluation, Size, Tally, evaluate
from backend.core.evaluation.judged import PageSource, judge_image
from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget

LABELS = ("cat", "dog")
SMALL, WHOLE = ImageSize(100, 100), ImageSize(400, 400)
"""The image as it was trained on, and the full one."""


def judged(drawn, found, task_id=1):
    """drawn: (label index, x, y, side); found: the same and a score, best first; in pixels of SMALL."""
    boxes = [
        np.array([[x, y, x + s, y + s] for _, x, y, s, *_ in rows], np.float32) for rows in (drawn, found)
    ]
    labels = [np.array([row[0] for row in rows], np.int64) for rows in (drawn, found)]
    target = TrainingTarget(SMALL, boxes[0].reshape(-1, 4), labels[0], (None,) * len(drawn))
    scores = np.array([row[4] for row in found], np.float32)
    detections = Detections(SMALL, boxes[1].reshape(-1, 4), scores, labels[1], (None,) * len(found))
    return judge_image(PageSource(task_id, 0, WHOLE), detections, target, LABELS, 0.05)


def test_precision_and_recall_are_counted_by_label_and_size_of_the_full_image():
    # 7 px of 100 are 28 of 400: small; 20 px are 80: medium; 40 px are 160: large.
    image = judged(
        [(0, 0, 0, 7), (0, 30, 30, 20), (1, 50, 50, 40)],
        [(0, 30, 30, 20, 0.9), (1, 0, 60, 30, 0.8), (1, 50, 50, 40, 0.2)],
    )
    result = evaluate([image], 0.3)
    assert result.tallies["cat", Size.SMALL] == Tally(drawn=1, found=0, hits=0)
    assert result.of_label("cat") == Tally(2, 1, 1)
    assert result.of_label("dog") == Tally(drawn=1, found=1, hits=0)
    assert result.of_size(Size.LARGE) == Tally(1, 1, 0)
    assert (result.total.precision, result.total.recall) == (0.5, 1 / 3)
    assert (Tally().precision, Tally().recall) == (None, None)


def test_a_hit_of_another_size_counts_with_the_size_that_was_drawn():
    image = judged([(0, 10, 10, 23)], [(0, 10, 10, 26, 0.9)])
    assert evaluate([image], 0.3).tallies == {("cat", Size.MEDIUM): Tally(1, 1, 1)}


def test_confusion_tells_another_label_from_nothing_there_and_nothing_found():
    image = judged(
        [(0, 0, 0, 20), (0, 50, 50, 20), (1, 0, 60, 20)],
        [(1, 0, 0, 20, 0.9), (0, 1, 0, 20, 0.8), (1, 75, 0, 20, 0.7), (1, 50, 50, 20, 0.6)],
    )
    assert evaluate([image], 0.3).confusion == {
        ("cat", "cat"): 1,
        ("", "dog"): 2,  # one lies on a cat that is found besides, and one on nothing
        ("cat", "dog"): 1,
        ("dog", ""): 1,
    }


def test_scores_are_binned_down_to_where_nobody_looks():
    image = judged([(0, 0, 0, 20)], [(0, 0, 0, 20, 0.95), (0, 60, 60, 20, 0.07)])
    bins = evaluate([image], 0.3).bins
    assert [(one.count, one.hits) for one in bins] == [(1, 0), *[(0, 0)] * 8, (1, 1)]
    assert abs(bins[-1].mean_score - 0.95) < 1e-3


def test_the_worst_images_come_first_and_sound_ones_not_at_all():
    sound = judged([(0, 0, 0, 20)], [(0, 0, 0, 20, 0.9)], task_id=1)
    one_missed = judged([(0, 0, 0, 20), (1, 50, 50, 20)], [(0, 0, 0, 20, 0.9)], task_id=2)
    bad = judged([(0, 0, 0, 20)], [(1, 50, 50, 20, 0.9)], task_id=3)
    worst = evaluate([sound, one_missed, bad], 0.3).worst
    assert [(image.task_id, image.missed, image.wrong) for image in worst] == [(3, 1, 1), (2, 1, 0)]
    missed = next(one for one in worst[1].objects if not one.is_right)
    assert (missed.label, missed.bounds, missed.score) == ("dog", (0.5, 0.5, 0.7, 0.7), None)
    assert (worst[0].width, worst[0].height) == (400, 400)


def test_what_is_written_is_read():
    image = judged([(0, 0, 0, 20), (1, 50, 50, 20)], [(0, 0, 0, 20, 0.9), (0, 60, 0, 20, 0.5)])
    result = evaluate([image], 0.3)
    assert Evaluation.from_json(json.loads(json.dumps(result.as_json()))) == result
