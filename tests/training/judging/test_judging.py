import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch, TrainingTarget
from backend.nn.detector.heads.masks.decoding import MASK_CUT_LOGIT
from backend.training.detector.schedule import (
    assignment_trust,
    ema_decay,
    learning_rate_factor,
    longest_side_px,
)
from backend.training.judging.calibration import (
    expected_calibration_error,
    expected_score_map,
    fit_mask_cut,
    fit_new_map,
    fit_score_map,
    sample_learned,
)
from backend.training.judging.holdout import split_by_task, split_late
from backend.training.judging.metrics import average_precision, precision_recall, scores_by_label
from backend.training.parameters import TrainingParams
from backend.training.recipe import Augmentation, recipe_for
from tests.learning_scenes import scene

SIZE = ImageSize(100, 100)


def detections(boxes, scores, labels=None):
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(SIZE, boxes, np.array(scores, np.float32), labels, (None,) * len(boxes))


def target(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return TrainingTarget(SIZE, boxes, np.zeros(len(boxes), np.int64), (None,) * len(boxes))


def test_perfect_detections_score_one():
    _, truth = scene(1)
    found = Detections(
        truth.size, truth.boxes_xyxy_px, np.ones(2, np.float32), truth.label_indices, truth.masks
    )
    metrics = average_precision([found], [truth], 2, with_masks=True)
    assert metrics == pytest.approx({"box_map": 1, "box_map50": 1, "mask_map": 1, "mask_map50": 1}, abs=1e-3)


@pytest.mark.parametrize(
    ("found", "truth"),
    [(detections([], []), target([[0, 0, 9, 9]])), (detections([], []), target([]))],
    ids=["nothing-found", "nothing-there"],
)
def test_nothing_scores_zero(found, truth):
    assert average_precision([found], [truth], 1, with_masks=False) == {"box_map": 0.0, "box_map50": 0.0}


def test_precision_and_recall_count_a_second_hit_as_wrong():
    found = detections([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]], [0.9, 0.8, 0.1])
    truth = target([[0, 0, 10, 10], [80, 80, 90, 90]])
    assert precision_recall([found], [truth], 0.3) == (0.5, 0.5)
    assert precision_recall([found], [truth], 0.95) == (0.0, 0.0)


def test_scores_by_label_count_each_label_alone():
    boxes = [[0, 0, 10, 10], [20, 20, 30, 30]]
    truth = target(boxes)
    found = detections(boxes, [0.9, 0.2])
    by_label = scores_by_label([found], [truth], ["Cat", "Dog"], 0.3)
    assert by_label["Cat"]["recall"] == 0.5 and by_label["Cat"]["precision"] == 1.0
    assert by_label["Cat"]["objects"] == 2
    assert by_label["Dog"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "objects": 0}


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


def test_of_many_images_some_of_all_kinds_are_asked():
    box = [[0, 0, 9, 9]]
    rare = [target(box if i % 100 == 99 else []) for i in range(3000)]
    asked = sample_learned(rare)
    assert len(set(asked)) == 32
    assert sum(len(rare[i]) > 0 for i in asked) == 16
    assert max(asked) - min(asked) > 2800
    few = [target(box if i > 35 else []) for i in range(40)]
    assert [i for i in sample_learned(few) if i > 35] == [36, 37, 38, 39]
    assert len(set(sample_learned([target(box)] * 33))) == 32
    assert sample_learned([target(box)] * 10) == list(range(10))


def half_unsure(seed, count=100):
    """One object of an image is found surely; the other is one of eight things that look alike."""
    rng = np.random.default_rng(seed)
    boxes = [[10 * k, 0, 10 * k + 9, 9] for k in range(9)]
    found, truth = [], []
    for _ in range(count):
        found.append(detections(boxes, [0.9, *np.sort(rng.uniform(0.2, 0.4, 8))[::-1]]))
        truth.append(target([boxes[0], boxes[rng.integers(1, 9)]]))
    return found, truth


@pytest.mark.parametrize("images", [overconfident, half_unsure], ids=["cut-rises", "cut-falls"])
def test_at_the_default_cut_precision_and_recall_are_close(images):
    found, truth = images(2)
    score_map = fit(images(0), (found, truth))
    kept = [
        detections(d.boxes_xyxy_px, score_map.logits_to_scores(np.log(d.scores / (1 - d.scores))))
        for d in found
    ]
    precision, recall = precision_recall(kept, truth, 0.3)
    assert abs(precision - recall) <= 0.15


def test_few_held_out_objects_move_the_cut_less_than_many():
    # Every object is found with 0.60, and two more things that are none with 0.55: the cut belongs between.
    boxes = [[0, 0, 10, 10], [40, 40, 50, 50], [70, 70, 80, 80]]
    image, truth = detections(boxes, [0.6, 0.55, 0.55]), target(boxes[:1])

    def raw_cut(images):
        fitted = fit(([image] * 30, [truth] * 30), ([image] * images, [truth] * images))
        raws = np.linspace(-2, 2, 4001)
        return raws[np.argmax(fitted.logits_to_scores(raws) >= 0.3)]

    between = np.log(np.array([0.55, 0.6]) / np.array([0.45, 0.4]))
    assert raw_cut(10) < raw_cut(1000)
    assert between[0] < raw_cut(1000) <= between[1] + 0.02


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


def masks_shortened(truth, rows_lost):
    """Return detections that are right but for masks that lack their last rows, so many for each object."""
    lost = iter(rows_lost)
    return [
        Detections(
            t.size,
            t.boxes_xyxy_px,
            np.ones(len(t), np.float32),
            t.label_indices,
            tuple(MaskPatch(m.left_px, m.top_px, m.bits[: m.bits.shape[0] - next(lost)]) for m in t.masks),
        )
        for t in truth
    ]


def test_the_mask_cut_is_the_one_that_fits_best():
    truth = [scene(seed)[1] for seed in range(6)]
    count = sum(len(t) for t in truth)

    def predict(cut):
        return masks_shortened(truth, [0 if cut == -0.8 else 4] * count)

    assert fit_mask_cut(predict, truth) == -0.8
    assert fit_mask_cut(lambda _: [detections([], [])] * 6, [target([])] * 6) == MASK_CUT_LOGIT


def test_a_mask_cut_that_is_better_by_chance_only_is_not_taken():
    truth = [scene(seed)[1] for seed in range(6)]
    count = sum(len(t) for t in truth)
    now_better_now_worse = ([0, 3, 0] * count)[:count]

    def predict(cut):
        return masks_shortened(truth, [2] * count if cut == MASK_CUT_LOGIT else now_better_now_worse)

    assert fit_mask_cut(predict, truth) == MASK_CUT_LOGIT


@pytest.mark.parametrize(("count", "least", "most"), [(1, 0, 0), (19, 0, 0), (20, 2, 5), (1000, 70, 130)])
def test_how_many_are_held_out(count, least, most):
    training, held_out = split_by_task(list(range(count)))
    assert least <= len(held_out) <= most
    assert sorted(training + held_out) == list(range(count))


@pytest.mark.parametrize(("count", "late"), [(1, 0), (7, 0), (8, 2), (10, 2), (19, 4), (20, 0), (500, 0)])
def test_how_many_join_late(count, late):
    first, joining = split_late(list(range(count)), [{0}] * count)
    assert len(joining) == late
    assert sorted(first + joining) == list(range(count))


def test_a_task_of_many_pages_does_not_join_late_nor_the_only_one_that_shows_a_label():
    for task in range(30):
        pages = [task] * 6 + [100 + task, 200 + task, 300 + task, 400 + task]
        first, joining = split_late(pages, [{0}] * 10)
        assert set(range(6)) <= set(first)
        assert len(joining) == 2
        labels_shown = [{0, 1} if i == joining[0] else {0} for i in range(10)]
        assert joining[0] not in split_late(pages, labels_shown)[1]


def test_at_most_so_many_are_held_out():
    assert len(split_by_task(list(range(5000)))[1]) == 200


def test_a_task_keeps_its_side_whatever_joins_or_leaves_the_project():
    def held_out_of(tasks):
        return {tasks[i] for i in split_by_task(tasks)[1]}

    first = list(range(300, 400))
    grown = list(range(1000))
    shrunk = list(range(350, 800, 2))
    assert held_out_of(first) == held_out_of(grown) & set(first)
    assert held_out_of(shrunk) == held_out_of(grown) & set(shrunk)


def test_the_pages_of_a_task_stay_together():
    ids = [i // 2 for i in range(80)]
    _, held_out = split_by_task(ids)
    tasks = {ids[i] for i in held_out}
    assert all((ids[i] in tasks) == (i in held_out) for i in range(80))


def test_learning_rate_warms_up_and_falls():
    recipe = recipe_for(TrainingParams(), 100, starts_trained=False, augmentation=Augmentation())
    factors = [learning_rate_factor(step, 600, recipe) for step in range(600)]
    peak = int(np.argmax(factors))
    assert factors[peak] == pytest.approx(1)
    assert 10 < peak < 100
    assert factors[-1] == pytest.approx(recipe.final_rate, abs=0.01)
    assert recipe.final_rate < 1
    assert all(np.diff(factors[peak:]) <= 0)


def test_sizes_and_trust_rise_to_their_full_value():
    recipe = recipe_for(TrainingParams(), 100, starts_trained=False, augmentation=Augmentation())
    sizes = [longest_side_px(p, recipe) for p in np.linspace(0, 1, 21)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 416
    assert assignment_trust(0, recipe) == 0
    assert assignment_trust(0.9, recipe) == 1
    assert 0 < ema_decay(0, 600, recipe) < ema_decay(599, 600, recipe) < 1
