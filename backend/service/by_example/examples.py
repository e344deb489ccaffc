"""The labelled things of a project that stand for all of their kind, until a version is trained."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.labelstudio.annotations import AnnotatedPage, annotated_task, build_target
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.labels_digest import labels_digest
from backend.core.labelstudio.recorded_frame import Fit, fit_of
from backend.errors import AnnotationError, FetchError
from backend.service.engine.pipeline import task_id_of
from backend.service.ports import ImageSource
from backend.service.projects.connections import Connections

logger = logging.getLogger(__name__)

BY_EXAMPLE = "by-example-"
MOST_PICTURES = 4
"""Learned from; each takes a second or more."""
ENOUGH_OF_A_LABEL = 20
"""Objects of a label beyond which another picture of it is worth no more."""


@dataclass(frozen=True)
class ExamplePage:
    """A picture with labelled things, and the task it belongs to."""

    task_id: int | None
    page: AnnotatedPage


@dataclass(frozen=True)
class Examples:
    """What is learned from: version changes whenever any of it does. object_count: labelled things."""

    version: str
    pages: tuple[ExamplePage, ...]
    object_count: int


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """An example as it is learned from: RGB uint8 [H, W, 3] and what stands in it."""

    picture: npt.NDArray[np.uint8]
    target: TrainingTarget


def examples_of(tasks: Sequence[Any], xml: str, config: LabelConfig) -> Examples | None:
    """Return the examples among annotated tasks, None where nothing is labelled.

    The pictures that add most to the labels seen so far, the newest tasks first.
    """
    found: list[tuple[ExamplePage, Mapping[str, Any]]] = []
    for task in sorted((t for t in tasks if isinstance(t, Mapping)), key=_age):
        try:
            annotated = annotated_task(task, config)
        except AnnotationError as exc:
            logger.debug("task %s is no example: %s", task.get("id"), exc)
            continue
        for page in annotated.pages if annotated is not None else ():
            if page.regions:
                found.append((ExamplePage(task_id_of(task), page), task))
    chosen = _most_telling(found)
    if not chosen:
        return None
    places = [[page.page.page.image_tag, page.page.page.item_index] for page, _ in chosen]
    told = labels_digest([task for _, task in chosen], xml) + json.dumps(places)
    return Examples(
        version=BY_EXAMPLE + hashlib.sha256(told.encode()).hexdigest()[:10],
        pages=tuple(page for page, _ in chosen),
        object_count=sum(len(page.page.regions) for page, _ in chosen),
    )


def labelled_pictures(
    images: ImageSource, connections: Connections, key: str, config: LabelConfig, examples: Examples
) -> list[LabelledPicture]:
    """Return the pictures of the examples; one that cannot be read or is another by now is left out."""
    found = []
    for example in examples.pages:
        page = example.page
        access = connections.image_access(key, example.task_id)
        try:
            picture = images.load_rgb(page.page.reference, access)
        except FetchError as exc:
            logger.warning("project %s, task %s is no example: %s", key, example.task_id, exc)
            continue
        size = ImageSize(width=picture.shape[1], height=picture.shape[0])
        if any(fit_of(labelled.region.recorded_size, size) is not Fit.SAME for labelled in page.regions):
            logger.warning(
                "project %s, task %s is no example: its regions were drawn on a picture of another shape",
                key,
                example.task_id,
            )
            continue
        target = build_target(page.regions, config.labels, size).target
        if len(target):
            found.append(LabelledPicture(picture, target))
    return found


def _age(task: Mapping[str, Any]) -> int:
    return -(task_id_of(task) or 0)


def _most_telling(
    found: Sequence[tuple[ExamplePage, Mapping[str, Any]]],
) -> list[tuple[ExamplePage, Mapping[str, Any]]]:
    seen: Counter[str] = Counter()
    left = list(found)
    chosen: list[tuple[ExamplePage, Mapping[str, Any]]] = []
    while left and len(chosen) < MOST_PICTURES:
        gains = [_gain(page, seen) for page, _ in left]
        best = max(range(len(left)), key=gains.__getitem__)
        if not gains[best]:
            break
        page, task = left.pop(best)
        seen.update(label for labelled in page.page.regions for label in labelled.labels)
        chosen.append((page, task))
    return chosen


def _gain(page: ExamplePage, seen: Mapping[str, int]) -> float:
    """Return how much a picture adds: an object counts the more, the fewer of its label were seen."""
    here = Counter(label for labelled in page.page.regions for label in labelled.labels)
    gain = 0.0
    for label, count in here.items():
        already = seen.get(label, 0)
        gain += sum(1 / (1 + k) for k in range(already, min(already + count, ENOUGH_OF_A_LABEL)))
    return gain
