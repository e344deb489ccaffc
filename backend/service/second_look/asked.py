"""What a version finds in annotated images, with the labels of the project's config."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from backend.core.geometry.instances import Detections
from backend.core.labelstudio.label_config import LabelConfig
from backend.errors import FetchError, TrainingStopped
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import Predictor
from backend.service.engine.work_items import DetectionLimits
from backend.service.jobs.jobs import RunningJob
from backend.training.inputs import TrainingPaused, TrainingSample

logger = logging.getLogger(__name__)

_IMAGES_AT_ONCE = 8


def found_in(
    job: RunningJob,
    batching: BatchingQueue,
    predictor: Predictor,
    samples: Sequence[TrainingSample],
    config: LabelConfig,
    limits: DetectionLimits,
) -> Iterator[tuple[TrainingSample, Detections]]:
    """Yield each image and what a version finds in it.

    Images that are gone by now are left out, which the job says, and so is what has no box or a label that
    the config lacks.
    Raises TrainingPaused or TrainingStopped when the job is asked to end meanwhile.
    """
    gone = 0
    for start in range(0, len(samples), _IMAGES_AT_ONCE):
        if (wish := job.stop_or_pause()) is not None:
            raise TrainingPaused if wish == "pause" else TrainingStopped("it was stopped among its images")
        asked, images = [], []
        for sample in samples[start : start + _IMAGES_AT_ONCE]:
            try:
                images.append(sample.load_rgb())
                asked.append(sample)
            except FetchError as exc:
                logger.warning("task %s is left out: %s", sample.task_id, exc)
                gone += 1
        if not images:
            continue
        found = batching.submit(predictor, images, limits, is_bulk=True).result()
        for sample, detections in zip(asked, found, strict=True):
            if detections.has_boxes:
                yield sample, _with_labels_of(config, detections, predictor.labels)
    if gone:
        job.warn(
            f"{gone} annotated {'image was' if gone == 1 else 'images were'} not compared: gone meanwhile"
        )


def _with_labels_of(config: LabelConfig, found: Detections, own: Sequence[str]) -> Detections:
    """Return detections with labels numbered as the config has them; those of other labels are left out."""
    number = {label: index for index, label in enumerate(config.labels)}
    order = np.array([number.get(label, -1) for label in own], dtype=np.int64)
    indices = order[found.label_indices]
    kept = np.flatnonzero(indices >= 0)
    return replace(
        found,
        boxes_xyxy_px=found.boxes_xyxy_px[kept],
        scores=found.scores[kept],
        label_indices=indices[kept],
        masks=tuple(found.masks[k] for k in kept.tolist()),
        extras={},
        turned_boxes_px=None if found.turned_boxes_px is None else found.turned_boxes_px[kept],
    )
