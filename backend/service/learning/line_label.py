"""Whether the objects of a label are lines of text, as an engine finds them: learned from labelled images."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.text.lines import SAME_LINE_IOU, TextLine, boxes_of
from backend.errors import FetchError, TextReadingError
from backend.service.text.reading import TextReading
from backend.training.inputs import TrainingSample

logger = logging.getLogger(__name__)

MOST_IMAGES = 12
LEAST_SHARE = 0.5
"""Of the lines in labelled images, so many are objects of the label: then a line is likelier one than not."""
WITHIN_S = 120.0


def learn_line_label(
    text: TextReading,
    samples: Sequence[TrainingSample],
    labels: Sequence[str],
    clock: Callable[[], float] = time.monotonic,
) -> str | None:
    """Return the label that most lines of text have in labelled images; None where most have none.

    Looks at up to MOST_IMAGES images, evenly spread, for WITHIN_S seconds.
    """
    ends_at = clock() + WITHIN_S
    line_count, labelled = 0, Counter[int]()
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
        labelled.update(_labels_of(lines, sample.target, ImageSize(image.shape[1], image.shape[0])))
    [(index, count)] = labelled.most_common(1) or [(0, 0)]
    return labels[index] if line_count and count >= LEAST_SHARE * line_count else None


def _spread(count: int) -> list[int]:
    """Return up to MOST_IMAGES of so many positions."""
    return sorted({int(k) for k in np.linspace(0, count - 1, min(MOST_IMAGES, count))})


def _labels_of(lines: Sequence[TextLine], target: TrainingTarget, size: ImageSize) -> list[int]:
    """Return the label of each line that lies where an object does."""
    if not len(target):
        return []
    iou = box_iou(boxes_of(lines, size), target.boxes_xyxy_px)
    best = iou.argmax(axis=1)
    return [int(target.label_indices[k]) for line, k in enumerate(best) if iou[line, k] >= SAME_LINE_IOU]
