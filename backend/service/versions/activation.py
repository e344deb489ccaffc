"""Champion and challenger: whether a new version serves at once or waits as a candidate.

The two are compared on tasks that neither has learned from, if there are enough of them and both know the
same labels and tags. Only a version that is worse beyond chance waits, and none where the project always
takes the newest.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.core.geometry.instances import Detections
from backend.core.geometry.matching import areas_of, match_at_half_iou
from backend.core.geometry.point_matching import match_points
from backend.core.geometry.points import POINTS, found_points, points_of
from backend.core.geometry.turned_boxes import upright_as_turned
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.versions.card import ChampionComparison, F1Pair, VersionCard
from backend.errors import BackendError, FetchError
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import Predictor
from backend.service.engine.work_items import DetectionLimits
from backend.service.versions.models import Models
from backend.training.inputs import TrainingSample
from backend.training.judging.holdout import split_by_task
from backend.training.parameters import TrainingParams

logger = logging.getLogger(__name__)

LEAST_HELD_OUT = 20
DRAWS = 2000
SURE_FROM = 0.95
_IMAGES_AT_ONCE = 8

Counts = np.ndarray[Any, np.dtype[np.float64]]
"""float [images, labels, 3]: hits, regions predicted, regions drawn; the same of answers below the labels."""


@dataclass(frozen=True)
class Decision:
    """Whether to activate, a sentence why, and the comparison behind it, if one was possible."""

    activate: bool
    reason: str
    comparison: ChampionComparison | None = None


def held_out_tasks(samples: Sequence[TrainingSample]) -> list[int]:
    """Return the ids of the tasks that a training on these samples holds back."""
    ids = [sample.task_id for sample in samples]
    return sorted({ids[position] for position in split_by_task(ids)[1]})


def decide_activation(
    models: Models,
    batching: BatchingQueue,
    key: str,
    folder: Path,
    samples: Sequence[TrainingSample],
    labels: Sequence[str],
    config: LabelConfig,
    params: TrainingParams,
    *,
    takes_newest: bool = False,
) -> Decision:
    """Decide for a new version whose files lie in `folder`; takes_newest: it serves without a comparison."""
    current = models.loaded.current(key)
    if current is None:
        return Decision(True, "it is the first version")
    if takes_newest:
        return Decision(True, "the project always takes the newest version")
    try:
        card = models.store.card(key, current)
        obstacle = _obstacle(card, labels, config, params)
        if obstacle is not None:
            return Decision(True, f"it serves without comparison: {obstacle}")
        common = set(card.held_out_tasks) & set(held_out_tasks(samples))
        chosen = [sample for sample in samples if sample.task_id in common]
        if len(chosen) < LEAST_HELD_OUT:
            return Decision(
                True,
                f"it serves without comparison: {len(chosen)} images were held back from both versions, "
                f"{LEAST_HELD_OUT} are needed",
            )
        champion = models.loaded.predictor(key, current)
        assert champion is not None
        challenger = models.loaded.load_folder(folder)
        return _compare(batching, current, champion, challenger, chosen, labels, config, params)
    except BackendError as exc:
        logger.warning("project %s: no comparison with version %s: %s", key, current, exc)
        return Decision(True, f"it serves without comparison: {exc}")


def judge(before: Counts, after: Counts, labels: Sequence[str], champion: str) -> Decision:
    """Decide from the counts of both versions, [images, labels, 3] of the same images."""
    old, new = _f1(before.sum(axis=(0, 1))), _f1(after.sum(axis=(0, 1)))
    rng = np.random.default_rng(0)
    picks = rng.integers(len(before), size=(DRAWS, len(before)))
    drawn_old = _f1(before.sum(axis=1)[picks].sum(axis=1))
    drawn_new = _f1(after.sum(axis=1)[picks].sum(axis=1))
    share_worse = float(np.mean(drawn_new < drawn_old))
    comparison = ChampionComparison(
        champion,
        images=len(before),
        f1=_pair(old, new),
        share_of_draws_worse=round(share_worse, 3),
        f1_by_label={
            label: _pair(_f1(before[:, k].sum(axis=0)), _f1(after[:, k].sum(axis=0)))
            for k, label in enumerate(labels)
        },
    )
    figures = f"F1 {new:.3f} against {old:.3f} of {champion} on {len(before)} held-back images"
    if share_worse >= SURE_FROM:
        return Decision(False, f"it waits as a candidate, because it is worse: {figures}", comparison)
    return Decision(True, f"it is not worse: {figures}", comparison)


def _pair(champion: Any, challenger: Any) -> F1Pair:
    return F1Pair(round(float(champion), 4), round(float(challenger), 4))


def _obstacle(
    card: VersionCard, labels: Sequence[str], config: LabelConfig, params: TrainingParams
) -> str | None:
    if set(card.labels) != set(labels):
        return "the labels have changed"
    if card.label_config is None or _tags(parse_label_config(card.label_config)) != _tags(config):
        return "the control tags have changed"
    if labels and (card.learned_areas if params.enable_detection else card.learned_boxes):
        return "one finds objects and the other painted areas"
    return None


def _tags(config: LabelConfig) -> set[tuple[str, str, str, tuple[str, ...]]]:
    drawing = {
        (tag.name, tag.kind.name, tag.to_name, tag.labels) for tag in config.controls if not tag.is_skipped
    }
    return drawing | {
        (tag.name, tag.kind.tag, ",".join(tag.to_names), tuple(tag.kind.names(tag.asked)))
        for tag in config.learned_answers
    }


def _compare(
    batching: BatchingQueue,
    current: str,
    champion: Predictor,
    challenger: Predictor,
    samples: Sequence[TrainingSample],
    labels: Sequence[str],
    config: LabelConfig,
    params: TrainingParams,
) -> Decision:
    before: list[Counts] = []
    after: list[Counts] = []
    limits = DetectionLimits(params.confidence_threshold, params.nms_threshold, with_masks=False)
    for start in range(0, len(samples), _IMAGES_AT_ONCE):
        batch, images = [], []
        for sample in samples[start : start + _IMAGES_AT_ONCE]:
            try:
                images.append(sample.load_rgb())
                batch.append(sample)
            except FetchError as exc:
                logger.warning("task %s is left out of the comparison: %s", sample.task_id, exc)
        if not images:
            continue
        both = [
            [_relabelled(one, predictor.labels, labels) for one in waiting.result()]
            for predictor in (champion, challenger)
            for waiting in [batching.submit(predictor, images, limits, is_bulk=True)]
        ]
        for found, counts in zip(_in_one_form(both), (before, after), strict=True):
            for sample, detections in zip(batch, found, strict=True):
                drawn = _count(detections, sample, len(labels))
                answered = _count_answers(detections, sample, config, params.confidence_threshold)
                counts.append(np.concatenate([drawn, answered]))
    if len(before) < LEAST_HELD_OUT:
        return Decision(True, f"it serves without comparison: {len(before)} images could be compared")
    return judge(np.stack(before), np.stack(after), [*labels, *_answer_names(config)], current)


def _relabelled(detections: Detections, own: Sequence[str], labels: Sequence[str]) -> Detections:
    """Return the detections with labels numbered as in the targets; versions may order them otherwise."""
    order = np.array([list(labels).index(label) for label in own], dtype=np.int64)
    points = found_points(detections)
    points = replace(points, label_indices=order[points.label_indices])
    extras = {**detections.extras, POINTS: points}
    return replace(detections, label_indices=order[detections.label_indices], extras=extras)


def _in_one_form(both: list[list[Detections]]) -> list[list[Detections]]:
    """Return what both versions found, upright boxes as turned ones where either version finds turned ones.

    How a rectangle is turned would otherwise count against the version alone that knows it.
    """
    if all(one.turned_boxes_px is None for found in both for one in found):
        return both
    return [[_with_turned(one) for one in found] for found in both]


def _with_turned(detections: Detections) -> Detections:
    if detections.turned_boxes_px is not None:
        return detections
    return replace(detections, turned_boxes_px=upright_as_turned(detections.boxes_xyxy_px))


def _count(detections: Detections, sample: TrainingSample, label_count: int) -> Counts:
    target = sample.target if detections.has_boxes else areas_of(sample.target)
    hits, _ = match_at_half_iou(detections, target)
    counts = np.zeros((label_count, 3))
    counts[:, 0] = np.bincount(detections.label_indices[hits], minlength=label_count)
    counts[:, 1] = np.bincount(detections.label_indices, minlength=label_count)
    counts[:, 2] = np.bincount(target.label_indices, minlength=label_count)
    points, drawn = found_points(detections), points_of(target)
    match = match_points(points, drawn, target.size)
    counts[:, 0] += np.bincount(points.label_indices[match.hits], minlength=label_count)
    counts[:, 1] += np.bincount(points.label_indices, minlength=label_count)
    counts[:, 2] += np.bincount(match.drawn_labels, minlength=label_count)
    return counts


def _answer_names(config: LabelConfig) -> list[str]:
    return [f"{tag.name}: {name}" for tag in config.learned_answers for name in tag.kind.names(tag.asked)]


def _count_answers(
    detections: Detections, sample: TrainingSample, config: LabelConfig, threshold: float
) -> Counts:
    rows: list[list[float]] = []
    for tag in config.learned_answers:
        names = tag.kind.names(tag.asked)
        taught = sample.target.extras.get(tag.kind.head, {}).get(tag.name)
        found = detections.extras.get(tag.kind.head, {}).get(tag.name)
        if taught is None or found is None:
            rows += [[0, 0, 0]] * len(names)
            continue
        given = tag.kind.given(tag.asked, taught)
        predicted = tag.kind.predicted(tag.asked, found, threshold)
        rows += [[name in given and name in predicted, name in predicted, name in given] for name in names]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _f1(counts: Counts) -> Any:
    """Return F1 from [..., 3] hits, predicted, drawn; 1 where nothing was drawn and nothing predicted."""
    total = counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), 1.0)
