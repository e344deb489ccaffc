"""How a team draws lines of text, as an engine finds them: learned from labelled images."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import FloatArray, ImageSize, TrainingTarget
from backend.core.text.lines import LineHabit, TextLine, boxes_of
from backend.errors import FetchError, TextReadingError
from backend.service.text.reading import TextReading
from backend.training.inputs import TrainingSample

logger = logging.getLogger(__name__)

MOST_IMAGES = 12
LEAST_SHARE = 0.5
"""Of the lines in labelled images, so many are objects of the label: then a line is likelier one than not."""
SAME_IOU = 0.3
"""Boxes of lines are low: where one is drawn a little looser than the other, they overlap by little more."""
WITHIN_S = 120.0


def learn_line_habit(
    text: TextReading,
    samples: Sequence[TrainingSample],
    labels: Sequence[str],
    clock: Callable[[], float] = time.monotonic,
) -> LineHabit | None:
    """Return the label that most lines of text have in labelled images, and how their boxes lie around them.

    None where most lines have no label. Looks at up to MOST_IMAGES images, evenly spread, for WITHIN_S
    seconds.
    """
    ends_at = clock() + WITHIN_S
    line_count, labelled = 0, Counter[int]()
    sides: dict[int, list[FloatArray]] = {}
    for sample in [samples[k] for k in _spread(len(samples))]:
        if clock() >= ends_at:
            break
        try:
            image = sample.load_rgb()
            lines = text.find_lines(image)
        except (FetchError, TextReadingError) as exc:
            logger.warning("task %s says nothing of lines of text: %s", sample.task_id, exc)
            continue
        line_count += len(lines)
        for label, moved in _drawn_lines(lines, sample.target, ImageSize(image.shape[1], image.shape[0])):
            labelled[label] += 1
            sides.setdefault(label, []).append(moved)
    [(index, count)] = labelled.most_common(1) or [(0, 0)]
    if not line_count or count < LEAST_SHARE * line_count:
        return None
    left, top, right, bottom = (round(float(side), 4) for side in np.median(sides[index], axis=0))
    return LineHabit(labels[index], (left, top, right, bottom))


def _spread(count: int) -> list[int]:
    """Return up to MOST_IMAGES of so many positions."""
    return sorted({int(k) for k in np.linspace(0, count - 1, min(MOST_IMAGES, count))})


def _drawn_lines(
    lines: Sequence[TextLine], target: TrainingTarget, size: ImageSize
) -> list[tuple[int, FloatArray]]:
    """Return of each line that lies where an object does its label and its sides [4], as of `LineHabit`."""
    if not len(target) or not lines:
        return []
    boxes = boxes_of(lines, size)
    iou = box_iou(boxes, target.boxes_xyxy_px)
    found = []
    for line, row in enumerate(iou.argmax(axis=1).tolist()):
        height = float(min(boxes[line, 2:] - boxes[line, :2]))
        if iou[line, row] >= SAME_IOU and height > 0:
            moved = (target.boxes_xyxy_px[row] - boxes[line]) / height
            found.append((int(target.label_indices[row]), moved))
    return found
