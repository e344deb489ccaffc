import numpy as np
import pytest

from backend.training.judging.calibration import (
    expected_score_map,
    fit_new_map,
    fit_score_map,
)
from backend.training.judging.metrics import expected_calibration_error, precision_recall
from tests.learning_found import detections, target


def overconfident(seed, count=300, slope=1.0, offset=-1.5):
    """Detections whose raw scores are far too high: half of those at 0.82 miss.

    slope, offset: of the logits of the true chance of a hit.
    """
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(count // 5):
        boxes = [[20 * k, 0, 20 * k + 10, 10] for k in range(5)]
        logits = rng.normal(1.0, 1.5, size=5)
        hit = rng.random(5) < 1 / (1 + np.exp(-(slope * logits + offset)))
        order = np.argsort(-logits)
        scores = 1 / (1 + np.exp(-logits))
        found.append(detections(np.array(boxes)[order], scores[order]))
        truth.append(target(np.array(boxes)[hit]))
    return found, truth


def fit(learned, held_out):
    """Return the score map of a network from (detections, targets) of what it learned and of what is new."""
    return fit_score_map(*learned, fit_new_map(*learned, *held_out))


def mapped(score_map, found, truth):
    """Return scores before and after the map, and which detections hit."""
    before, after, hits = [], [], []
    for one, wanted in zip(found, truth, strict=True):
        raw = np.log(one.scores / (1 - one.scores))
        before.append(one.scores)
        after.append(score_map.logits_to_scores(raw))
        hits.append([any((b == w).all() for w in wanted.boxes_xyxy_px) for b in one.boxes_xyxy_px])
    return tuple(np.concatenate(v) for v in (before, after, hits))


def test_calibration_makes_scores_chances_and_keeps_their_order():
    before, after, hits = mapped(fit(overconfident(0), overconfident(3)), *overconfident(1))
    kept = after >= 0.3
    assert expected_calibration_error(after[kept], hits[kept]) < 0.10
    assert expected_calibration_error(before, hits) > 0.15
    order = np.argsort(before)
    assert (np.diff(after[order]) >= -1e-6).all()


@pytest.mark.parametrize("seed", range(5))
def test_what_was_learned_by_heart_does_not_hide_how_little_new_ones_are_known(seed):
    # Steep where it learned, flat on what is new: far from what is believed beforehand.
    learned = overconfident(seed, 320, slope=6.0, offset=0.0)
    held_out = overconfident(seed + 100, 200, slope=2.5, offset=-1.2)
    _, after, hits = mapped(fit(learned, held_out), *overconfident(seed + 200, 1000, slope=2.5, offset=-1.2))
    kept = after >= 0.3
    assert expected_calibration_error(after[kept], hits[kept]) < 0.15


def test_scores_that_say_nothing_of_new_images_become_their_hit_rate():
    learned = overconfident(0, 320, slope=6.0, offset=0.0)
    _, after, _ = mapped(fit(learned, overconfident(1, 500, slope=0.0, offset=-1.0)), *overconfident(2))
    assert after.max() - after.min() < 0.35
    assert after.mean() == pytest.approx(1 / (1 + np.exp(1.0)), abs=0.1)


def test_nonsense_where_it_learned_does_not_hide_what_is_right_on_new_images():
    boxes = [[0, 0, 10, 10], [40, 40, 50, 50], [70, 70, 80, 80], [20, 70, 30, 80]]
    nonsense = [detections(boxes, [0.99, 0.95, 0.5, 0.1])] * 32, [target(boxes[2:3])] * 32
    score_map = fit(nonsense, ([detections(boxes[:2], [0.5, 0.1])] * 8, [target(boxes[:1])] * 8))
    right, wrong = score_map.logits_to_scores(np.log(np.array([0.5 / 0.5, 0.1 / 0.9])))
    assert wrong < 0.3 < right


def test_objects_held_out_count_though_what_was_learned_from_shows_none():
    nothing = [detections([[0, 0, 9, 9]], [0.1])] * 32, [target([])] * 32
    _, after, hits = mapped(fit(nothing, overconfident(3)), *overconfident(1))
    kept = after >= 0.3
    assert expected_calibration_error(after[kept], hits[kept]) < 0.10


def half_unsure(seed, count=100):
    """One object of an image is found surely; the other is one of eight things that look alike."""
    rng = np.random.default_rng(seed)
    boxes = [[10 * k, 0, 10 * k + 9, 9] for k in range(9)]
    found, truth = [], []
    for _ in range(count):
        found.append(detections(boxes, [0.9, *np.sort(rng.uniform(0.2, 0.4, 8))[::-1]]))
        truth.append(target([boxes[0], boxes[rng.integers(1, 9)]]))
    return found, truth


@pytest.mark.parametrize("images", [overconfident, half_unsure], ids=["threshold-rises", "threshold-falls"])
def test_at_the_default_threshold_precision_and_recall_are_close(images):
    found, truth = images(2)
    score_map = fit(images(0), (found, truth))
    kept = [
        detections(d.boxes_xyxy_px, score_map.logits_to_scores(np.log(d.scores / (1 - d.scores))))
        for d in found
    ]
    precision, recall = precision_recall(kept, truth, 0.3)
    assert abs(precision - recall) <= 0.15


def test_few_held_out_objects_move_the_threshold_less_than_many():
    # Every object is found with 0.60, two more things that are none with 0.55: the threshold belongs between.
    boxes = [[0, 0, 10, 10], [40, 40, 50, 50], [70, 70, 80, 80]]
    image, truth = detections(boxes, [0.6, 0.55, 0.55]), target(boxes[:1])

    def raw_crossing(images):
        fitted = fit(([image] * 30, [truth] * 30), ([image] * images, [truth] * images))
        raws = np.linspace(-2, 2, 4001)
        return raws[np.argmax(fitted.logits_to_scores(raws) >= 0.3)]

    between = np.log(np.array([0.55, 0.6]) / np.array([0.45, 0.4]))
    assert raw_crossing(10) < raw_crossing(1000)
    assert between[0] < raw_crossing(1000) <= between[1] + 0.02


def shy(images, score=0.25):
    """Return detections of a network that finds everything and is sure of nothing, and the truth."""
    box = [[0, 0, 10, 10], [40, 40, 50, 50]]
    return [detections(box, [score, score / 3])] * images, [target(box[:1])] * images


def test_what_was_learned_from_shows_how_sure_a_network_of_few_images_is():
    score_map = fit_score_map(*shy(18))
    sure, unsure = score_map.logits_to_scores(np.log(np.array([0.25, 0.08]) / np.array([0.75, 0.92])))
    assert unsure < 0.3 < sure
    assert expected_score_map().logits_to_scores(np.log(np.array([0.25 / 0.75])))[0] < 0.05


def test_what_was_learned_from_flatters():
    held_out, learned = fit(shy(30), shy(30)), fit_score_map(*shy(30))
    raw = np.array([np.log(0.25 / 0.75)])
    assert learned.logits_to_scores(raw)[0] < held_out.logits_to_scores(raw)[0]


def test_what_was_learned_from_tells_how_much_is_left_unlabelled():
    # Of what the network is sure of, half is labelled, everywhere: five held-out ones hardly show it.
    boxes = [[20 * k, 0, 20 * k + 10, 10] for k in range(2)]

    def images(count):
        return [detections(boxes, [0.62, 0.6])] * count, [target(boxes[k % 2 :][:1]) for k in range(count)]

    raw = np.array([np.log(0.6 / 0.4)])
    assert fit(images(30), images(5)).logits_to_scores(raw)[0] == pytest.approx(0.5, abs=0.08)
    assert expected_score_map().logits_to_scores(raw)[0] > 0.7


def test_new_images_that_hold_less_than_was_promised_lower_the_scores():
    # Alike to the network; but of what it is sure of, two of three are objects only where it learned.
    boxes = [[20 * k, 0, 20 * k + 10, 10] for k in range(3)]
    found = [detections(boxes, [0.6, 0.6, 0.6])] * 10
    learned_truth, new_truth = [target(boxes)] * 10, [target(boxes[:1])] * 10
    new_map = fit_new_map(found, learned_truth, found, new_truth)
    raw = np.linspace(-2, 2, 401)
    flattering = fit_score_map(found, learned_truth).logits_to_scores(raw)
    honest = fit_score_map(found, learned_truth, new_map).logits_to_scores(raw)
    at = np.argmin(np.abs(raw - np.log(0.6 / 0.4)))
    assert flattering[at] > 0.7
    assert 0.25 < honest[at] < 0.5


def test_new_images_in_which_nothing_is_found_do_not_raise_the_scores():
    boxes = [[20 * k, 0, 20 * k + 10, 10] for k in range(4)]
    learned = [detections(boxes, [0.7, 0.6, 0.3, 0.3])] * 10, [target(boxes[:2])] * 10
    nothing_hit = [detections(boxes[2:], [0.3, 0.25])] * 10, [target(boxes[:1])] * 10
    flattering = fit_score_map(*learned)
    honest = fit(learned, nothing_hit)
    assert honest.score_to_logit(0.3) > flattering.score_to_logit(0.3)
    # Who asks for everything still gets the long tail.
    assert honest.score_to_logit(0.01) < -2.0


def test_new_images_without_objects_or_finds_say_nothing():
    found, truth = shy(18)
    assert fit_new_map(found, truth, [detections([], [])], [target([[0, 0, 9, 9]])]) is None
    assert fit_new_map(found, truth, found[:1], [target([])]) is None
    assert fit_new_map(*shy(0), found[:2], truth[:2]) is None


def test_too_little_to_fit_leaves_what_is_expected_of_any_network():
    one = [detections([[0, 0, 9, 9]], [0.5])], [target([[0, 0, 9, 9]])]
    assert fit_score_map(*one) is None
    score_map = expected_score_map()
    # A raw score is an expected IoU: half is about the line between hit and miss.
    assert 0.4 < score_map.score_to_logit(0.5) + 0.5 < 0.7
    assert score_map.logits_to_scores(np.array([-2.0]))[0] > 0.005
