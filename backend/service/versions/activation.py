"""Champion and challenger: whether a new version serves at once or waits as a candidate.

The two are compared on tasks that neither has learned from, if there are enough of them and both know the
same labels and tags. Only a version that is worse beyond chance waits, and none where the project always
takes the newest.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.core.geometry.instances import Detections, IntArray
from backend.core.geometry.points import POINTS, found_points
from backend.core.geometry.turned_boxes import upright_as_turned
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.versions.card import ChampionComparison, F1Pair, VersionCard
from backend.errors import BackendError, FetchError
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import Predictor
from backend.service.engine.work_items import DetectionLimits
from backend.service.versions.counting import (
    Counts,
    Thing,
    count,
    f1_of,
    rows_by_kind,
    rows_by_name,
    things_of,
)
from backend.service.versions.models import Models
from backend.service.versions.unseen import unseen_tasks
from backend.training.inputs import TrainingSample
from backend.training.parameters import TrainingParams

logger = logging.getLogger(__name__)

LEAST_HELD_OUT = 20
DRAWS = 2000
SURE_FROM = 0.95
_IMAGES_AT_ONCE = 8


@dataclass(frozen=True)
class Decision:
    """Whether to activate, a sentence why, and the comparison behind it, if one was possible."""

    activate: bool
    reason: str
    comparison: ChampionComparison | None = None


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
    held_out: Collection[int],
    tasks: Sequence[Any],
    takes_newest: bool = False,
) -> Decision:
    """Decide for a new version whose files lie in `folder`.

    held_out: ids of the tasks that it has not learned from, nor any version that it started from. tasks: all
    annotated ones. takes_newest: it serves without a comparison.
    """
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
        mappings = [task for task in tasks if isinstance(task, Mapping)]
        # Without what was annotated since: the champion's own predictions may have been accepted there.
        common = {*card.held_out_tasks} & {*held_out} & unseen_tasks(models.store, key, card, mappings)
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


def judge(before: Counts, after: Counts, things: Sequence[Thing], champion: str) -> Decision:
    """Decide from the counts of both versions, [images, things, 3] of the same images.

    Versions are compared by the mean of one F1 for each kind of thing.
    """
    kinds = rows_by_kind(things, before, after)
    all_images = np.arange(len(before))[None]
    old, new = (float(_mean_f1(one, kinds, all_images)[0]) for one in (before, after))
    rng = np.random.default_rng(0)
    picks = rng.integers(len(before), size=(DRAWS, len(before)))
    share_worse = float(np.mean(_mean_f1(after, kinds, picks) < _mean_f1(before, kinds, picks)))
    comparison = ChampionComparison(
        champion,
        images=len(before),
        f1=_pair(old, new),
        share_of_draws_worse=round(share_worse, 3),
        f1_by_label=_pairs(before, after, rows_by_name(things)),
        f1_by_kind=_pairs(before, after, kinds) if len(kinds) > 1 else {},
    )
    figures = f"F1 {new:.3f} against {old:.3f} of {champion} on {len(before)} held-back images"
    if share_worse >= SURE_FROM:
        return Decision(False, f"it waits as a candidate, because it is worse: {figures}", comparison)
    return Decision(True, f"it is not worse: {figures}", comparison)


def _mean_f1(counts: Counts, kinds: Mapping[str, IntArray], picks: IntArray) -> Counts:
    """Return the mean F1 of the kinds of things, float [draws], of images drawn by picks [draws, images]."""
    each = [f1_of(counts[:, rows].sum(axis=1)[picks].sum(axis=1)) for rows in kinds.values()]
    return np.mean(each, axis=0) if each else np.ones(len(picks))


def _pairs(before: Counts, after: Counts, rows_of: Mapping[str, IntArray]) -> dict[str, F1Pair]:
    return {
        name: _pair(*(f1_of(one[:, rows].sum(axis=(0, 1))) for one in (before, after)))
        for name, rows in rows_of.items()
    }


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
        for tag in (*config.learned_answers, *config.learned_attributes)
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
                counts.append(count(detections, sample.target, labels, config, params.confidence_threshold))
    if len(before) < LEAST_HELD_OUT:
        return Decision(True, f"it serves without comparison: {len(before)} images could be compared")
    return judge(np.stack(before), np.stack(after), things_of(labels, config), current)


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
