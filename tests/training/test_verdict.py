"""What a training comes to, judged from canned detections: no network, no training."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from backend.core.evaluation.evaluation import Tally
from backend.core.evaluation.judged import PageSource
from backend.core.geometry.instances import Detections, ImageSize
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.decoding import MASK_THRESHOLD_LOGIT
from backend.nn.detector.heads.masks.head import MASKS
from backend.training.detector.images import CachedImage
from backend.training.detector.loop import LearningData, LoopResult
from backend.training.judging.calibration import FittedTo, fit_new_map
from backend.training.verdict import judge
from tests.learning_heads import ChoiceHead
from tests.learning_scenes import scene

ONES = np.ones(2, np.float32)
FULL = ImageSize(1024, 1024)


def images(count, first=0):
    return [
        replace(CachedImage(*scene(first + i)), source=PageSource(first + i, 0, FULL)) for i in range(count)
    ]


@dataclass
class FakePredictor:
    """Finds what is drawn, and something that is not; masks lack rows unless they end at best_threshold."""

    pictures: list[CachedImage]
    readings: dict[str, Any]
    best_threshold: float

    def predict(self, shown, **_):
        of = {id(image.image): image.target for image in self.pictures}
        return [self._find(of[id(image)]) for image in shown]

    def _find(self, truth):
        reading = self.readings.get("masks")
        rows = 0 if reading is None or reading.threshold_logit == self.best_threshold else 4
        masks = [replace(m, bits=m.bits[: m.bits.shape[0] - rows]) for m in truth.masks]
        wrong = np.array([[0, 0, 3, 3]], np.float32)
        return Detections(
            truth.size,
            np.concatenate([truth.boxes_xyxy_px, wrong]),
            np.array([0.8] * len(truth) + [0.2], np.float32),
            np.append(truth.label_indices, 0),
            (*masks, None),
        )


@dataclass
class FakeLoop:
    """A training that is over."""

    data: LearningData
    heads: tuple = (BOXES, MASKS)
    labels: tuple = ("red", "blue")
    best_threshold: float = MASK_THRESHOLD_LOGIT
    ema: Any = field(default_factory=lambda: type("Ema", (), {"load_state_dict": lambda self, state: None})())

    @property
    def readings(self):
        taught = [image.target for image in self.data.learned]
        return {head.name: head.reading(taught, len(self.labels)) for head in self.heads}

    def predictor(self, readings):
        return FakePredictor([*self.data.learned, *self.data.held_out], readings, self.best_threshold)

    def ema_predictor(self):
        return self.predictor(self.readings)


def trained(*, learned=10, held_out=0, late=0, **changes):
    data = LearningData(images(learned), images(held_out, 100), ONES, ONES, images(late, 200))
    loop = FakeLoop(data, **changes)
    return loop, LoopResult({}, 0, 1, 8, 1.0, 4, data.learned)


def test_held_out_images_fit_the_scores_and_measure_them():
    loop, result = trained(held_out=6)
    verdict = judge(loop, result, 0.3)
    assert verdict.fitted_to is FittedTo.HELD_OUT
    assert (verdict.metrics["precision"], verdict.metrics["recall"]) == (1.0, 1.0)
    assert verdict.metrics["box_map50"] == pytest.approx(1.0, abs=1e-3)
    assert verdict.by_label["red"]["objects"] == 6
    assert verdict.evaluation.of_label("red") == Tally(6, 6, 6)
    assert (verdict.evaluation.images, verdict.evaluation.worst) == (6, ())
    scores = verdict.readings["boxes"].score_map.logits_to_scores(np.log(np.array([0.8 / 0.2, 0.2 / 0.8])))
    assert scores[0] > 0.8 and scores[1] < 0.2


def test_masks_end_where_they_surely_fit_best():
    loop, result = trained(held_out=6, best_threshold=-0.8)
    assert judge(loop, result, 0.3).readings["masks"].threshold_logit == -0.8
    assert judge(*trained(held_out=6), 0.3).readings["masks"].threshold_logit == MASK_THRESHOLD_LOGIT


def test_images_that_joined_late_say_what_is_new():
    loop, result = trained(late=2)
    found = loop.ema_predictor().predict([image.image for image in loop.data.learned])
    targets = [image.target for image in loop.data.learned]
    verdict = judge(loop, replace(result, new_map=fit_new_map(found, targets, found, targets)), 0.3)
    assert verdict.fitted_to is FittedTo.LEARNED_AND_LATE
    assert (verdict.metrics, verdict.by_label, verdict.evaluation) == ({}, {}, None)


def test_without_new_images_the_learned_ones_must_do():
    assert judge(*trained(), 0.3).fitted_to is FittedTo.LEARNED


def test_too_few_objects_fit_nothing():
    assert judge(*trained(learned=2), 0.3).fitted_to is FittedTo.NOTHING


def test_a_head_without_scores_needs_none():
    loop, result = trained(heads=(ChoiceHead(),))
    verdict = judge(loop, result, 0.3)
    assert verdict.fitted_to is None
    assert verdict.readings["choice"].names == ("dark", "bright")
