"""What a version says of held-back images, counted beside what people say: hits, said, given.

Each kind of thing is counted for itself: objects, points, and what every control tag asks of images or of
regions. A version that finds more objects and chooses worse is then seen to do both, however many of each an
image has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from backend.core.geometry.instances import Detections, IntArray, TrainingTarget
from backend.core.geometry.matching import NO_ROW, areas_of, match_at_half_iou, matched_rows
from backend.core.geometry.point_matching import match_points
from backend.core.geometry.points import POINTS, found_points, points_of
from backend.core.labelstudio.answer_tags import AnswerTag
from backend.core.labelstudio.label_config import LabelConfig

OBJECTS = "objects"

Counts = np.ndarray[Any, np.dtype[np.float64]]
"""float [images, things, 3]: hits, what was said, what people gave."""


class Thing(NamedTuple):
    """Something that is counted, and the kind to which it belongs: objects, points, or a control tag."""

    kind: str
    name: str


def things_of(labels: Sequence[str], config: LabelConfig) -> list[Thing]:
    """Return what is counted of an image, in the order of `count`."""
    drawn = [Thing(kind, label) for kind in (OBJECTS, POINTS) for label in labels]
    tags = (*config.learned_answers, *config.learned_attributes)
    said = [Thing(tag.name, f"{tag.name}: {name}") for tag in tags for name in tag.kind.names(tag.asked)]
    return drawn + said


def count(
    detections: Detections,
    target: TrainingTarget,
    labels: Sequence[str],
    config: LabelConfig,
    threshold: float,
) -> Counts:
    """Return the counts of one image, float [things, 3]; threshold: from which score something is said."""
    answers = [_of_answer(detections, target, tag, threshold) for tag in config.learned_answers]
    attributes = [_of_attribute(detections, target, tag, threshold) for tag in config.learned_attributes]
    drawn = [_of_objects(detections, target, len(labels)), _of_points(detections, target, len(labels))]
    return np.concatenate([*drawn, *answers, *attributes])


def rows_by_kind(things: Sequence[Thing], *counts: Counts) -> dict[str, IntArray]:
    """Return where the things of each kind lie; of kinds that any of the counts has something of."""
    rows: dict[str, list[int]] = {}
    for row, thing in enumerate(things):
        rows.setdefault(thing.kind, []).append(row)
    return {kind: np.array(mine) for kind, mine in rows.items() if any(one[:, mine].any() for one in counts)}


def rows_by_name(things: Sequence[Thing]) -> dict[str, IntArray]:
    """Return where the things of each name lie: a label has objects or points."""
    rows: dict[str, list[int]] = {}
    for row, thing in enumerate(things):
        rows.setdefault(thing.name, []).append(row)
    return {name: np.array(mine) for name, mine in rows.items()}


def f1_of(counts: Counts) -> Any:
    """Return F1 from [..., 3] hits, said, given; 1 where nothing was given and nothing said."""
    total = counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), 1.0)


def _of_objects(detections: Detections, target: TrainingTarget, label_count: int) -> Counts:
    target = target if detections.has_boxes else areas_of(target)
    hits, _ = match_at_half_iou(detections, target)
    counts = np.zeros((label_count, 3))
    counts[:, 0] = np.bincount(detections.label_indices[hits], minlength=label_count)
    counts[:, 1] = np.bincount(detections.label_indices, minlength=label_count)
    counts[:, 2] = np.bincount(target.label_indices, minlength=label_count)
    return counts


def _of_points(detections: Detections, target: TrainingTarget, label_count: int) -> Counts:
    points, drawn = found_points(detections), points_of(target)
    match = match_points(points, drawn, target.size)
    counts = np.zeros((label_count, 3))
    counts[:, 0] = np.bincount(points.label_indices[match.hits], minlength=label_count)
    counts[:, 1] = np.bincount(points.label_indices, minlength=label_count)
    counts[:, 2] = np.bincount(match.drawn_labels, minlength=label_count)
    return counts


def _of_answer(detections: Detections, target: TrainingTarget, tag: AnswerTag, threshold: float) -> Counts:
    taught = target.extras.get(tag.head, {}).get(tag.name)
    found = detections.extras.get(tag.head, {}).get(tag.name)
    return _agreement(tag, [] if taught is None else [(taught, found)], threshold)


def _of_attribute(detections: Detections, target: TrainingTarget, tag: AnswerTag, threshold: float) -> Counts:
    """Count what is said of every object; of one that was not found nothing is."""
    found: dict[int, Mapping[str, Any]] = {}
    if detections.attributes is not None and target.attributes:
        rows = matched_rows(detections, target).tolist()
        found = {row: detections.attributes[k] for k, row in enumerate(rows) if row != NO_ROW}
    both = [
        (said.taught[tag.name], found.get(row, {}).get(tag.name))
        for row, said in enumerate(target.attributes)
        if said is not None and tag.name in said.taught
    ]
    return _agreement(tag, both, threshold)


def _agreement(tag: AnswerTag, both: Sequence[tuple[Any, Any]], threshold: float) -> Counts:
    counts = np.zeros((len(tag.kind.names(tag.asked)), 3))
    for taught, found in both:
        counts += np.array(tag.kind.agreement(tag.asked, taught, found, threshold)).reshape(-1, 3)
    return counts
