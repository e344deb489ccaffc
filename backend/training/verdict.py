"""What a training came to: how its version reads the network, and how good that is on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.core.evaluation.evaluation import LOWEST_SCORE, Evaluation, evaluate
from backend.core.evaluation.judged import judge_image
from backend.core.geometry.instances import Detections, TrainingTarget
from backend.core.geometry.matching import scored_hits
from backend.nn.detector.heads.head import AnyHead
from backend.nn.detector.heads.score_map import ScoreMap
from backend.training.detector.evaluation import measured, predict_images, scored_head
from backend.training.detector.images import CachedImage
from backend.training.detector.loop import LoopResult, TrainingLoop
from backend.training.judging.calibration import (
    FittedTo,
    expected_score_map,
    fit_new_map,
    fit_score_map,
)
from backend.training.judging.holdout import sample_learned
from backend.training.judging.metrics import expected_calibration_error, precision_recall, scores_by_label
from backend.training.judging.readings import surest_reading


@dataclass(frozen=True)
class Verdict:
    """readings: how to read the network, by the name of the head. fitted_to: which images taught the scores
    of objects; None where no head finds any.

    metrics and by_label: on the held-out images; empty where none is held out. evaluation: what the report
    counts on them; None where none is held out, and where no head finds objects with scores.
    """

    readings: dict[str, Any]
    fitted_to: FittedTo | None
    metrics: dict[str, float]
    by_label: dict[str, dict[str, float]]
    evaluation: Evaluation | None = None


def judge(loop: TrainingLoop, result: LoopResult, confidence_threshold: float) -> Verdict:
    """Fit scores and what else the heads are read by, and measure the kept epoch on the held-out images.

    confidence_threshold: at which precision, recall and the error of the scores are counted.
    """
    loop.ema.load_state_dict(result.best_weights)
    readings = {**loop.readings, **result.late_readings}
    fitted_to: FittedTo | None = None
    scored = scored_head(loop.heads)
    held_out = loop.data.held_out
    plain = predict_images(loop.ema_predictor(), held_out)
    if scored is not None:
        score_map, fitted_to = _fit_scores(loop, result, scored, plain)
        readings[scored.name] = scored.with_scores(readings[scored.name], score_map)
    if not held_out:
        return Verdict(readings, fitted_to, {}, {})
    for head in loop.heads:
        readings[head.name] = head.fitted(readings[head.name], plain, _targets(head, held_out))
        readings[head.name] = _fit_reading(loop, head, readings)
    found = predict_images(loop.predictor(readings), held_out)
    metrics = measured(loop.heads, found, held_out, len(loop.labels))
    by_label: dict[str, dict[str, float]] = {}
    evaluation: Evaluation | None = None
    if scored is not None:
        targets = _targets(scored, held_out)
        precision, recall = precision_recall(found, targets, confidence_threshold)
        scores, _, hits, _ = scored_hits(found, targets)
        kept = scores >= confidence_threshold
        error = expected_calibration_error(scores[kept], hits[kept])
        metrics.update(precision=precision, recall=recall, calibration_error=error)
        by_label = scores_by_label(found, targets, loop.labels, confidence_threshold)
        evaluation = _evaluate(held_out, found, targets, loop.labels, confidence_threshold)
    rounded = {name: round(v, 4) for name, v in metrics.items()}
    return Verdict(readings, fitted_to, rounded, by_label, evaluation)


def _evaluate(
    images: Sequence[CachedImage],
    found: Sequence[Detections],
    targets: Sequence[TrainingTarget],
    labels: Sequence[str],
    threshold: float,
) -> Evaluation:
    lowest = min(threshold, LOWEST_SCORE)
    judged = [
        judge_image(image.source, one, target, labels, lowest)
        for image, one, target in zip(images, found, targets, strict=True)
        if image.source is not None
    ]
    return evaluate(judged, threshold)


def _fit_scores(
    loop: TrainingLoop, result: LoopResult, scored: AnyHead, found_new: Sequence[Detections]
) -> tuple[ScoreMap, FittedTo]:
    """Fit scores to the images that were learned from and to those that are new, and say what there was.

    found_new: in the held-out images, with uncalibrated scores.
    """
    asked = sample_learned([image.target for image in result.learned])
    learned = [result.learned[i] for i in asked]
    held_out = loop.data.held_out
    found = predict_images(loop.ema_predictor(), learned)
    targets, new_targets = (_targets(scored, side) for side in (learned, held_out))
    new_map = fit_new_map(found, targets, found_new, new_targets) if held_out else result.new_map
    score_map = fit_score_map(found, targets, new_map)
    if score_map is None:
        return expected_score_map(), FittedTo.NOTHING
    if new_map is None:
        return score_map, FittedTo.LEARNED
    return score_map, FittedTo.HELD_OUT if held_out else FittedTo.LEARNED_AND_LATE


def _fit_reading(loop: TrainingLoop, head: AnyHead, readings: dict[str, Any]) -> Any:
    """Return the reading of a head that fits the held-out objects best, the usual one unless surely not."""
    held_out = loop.data.held_out
    targets = _targets(head, held_out)

    def fits(reading: Any) -> list[float]:
        found = predict_images(loop.predictor({**readings, head.name: reading}), held_out)
        return [fit for one, target in zip(found, targets, strict=True) for fit in head.fits(one, target)]

    usual = readings[head.name]
    others = head.other_readings(usual)
    return surest_reading(usual, others, fits) if others else usual


def _targets(head: AnyHead, images: Sequence[CachedImage]) -> list[TrainingTarget]:
    return [head.as_found(image.target) for image in images]
