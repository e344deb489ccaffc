"""Answers to smart tools: prompts in Label Studio's words in, one region per object out.

An answer takes at most ANSWER_WITHIN_S; after that the annotator gets nothing this time, while the image
goes on being encoded for the next click.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.masks import patch_box
from backend.core.geometry.turned_boxes import patch_to_turned
from backend.core.labelstudio.control_tags import ControlTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.predictions import make_prediction, region_for_object
from backend.core.labelstudio.prompts import (
    PagePrompts,
    PromptRequest,
    Prompts,
    answer_form,
    parse_prompts,
    place_prompts,
)
from backend.core.labelstudio.task_labels import config_of_task
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.core.labelstudio.text_tags import text_results
from backend.errors import AnnotationError, BackendError, NoMemoryLeft, TextReadingError
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import NOT_TRAINED, LoadedVersions
from backend.service.engine.named_network import NetworkState
from backend.service.ports import AfterTask, ImageAccess, ImageSource, Json, WaitingRoom
from backend.service.smart_tools.encoded_images import EncodedImages
from backend.service.text.reading import TextInBox, TextReading

if TYPE_CHECKING:
    from backend.nn.prompts.segmenter import SegmentedObject

logger = logging.getLogger(__name__)

ANSWER_WITHIN_S = 1.8
"""A little under the two seconds that an annotator is promised, for the way there and back."""


@dataclass(frozen=True)
class _Found:
    """One object as Label Studio wants it (a plain tag takes two results), and the version that found it."""

    region: list[Json]
    score: float
    version: str


class Interactive:
    """Answers the prompts of one process; every thread may call it."""

    def __init__(
        self,
        encoded: EncodedImages,
        versions: LoadedVersions,
        batching: BatchingQueue,
        waiting_room: WaitingRoom,
        images: ImageSource,
        text: TextReading,
        *,
        followed_by: AfterTask,
        answer_within_s: float = ANSWER_WITHIN_S,
        seed: int | None = None,
    ) -> None:
        """Join the collaborators; followed_by is told of each task for which there was an answer.

        images, text: for projects that want the text of regions.
        """
        self._encoded = encoded
        self._versions = versions
        self._batching = batching
        self._waiting_room = waiting_room
        self._images = images
        self._text = text
        self._followed_by = followed_by
        self._answer_within_s = answer_within_s
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()

    def answer(
        self,
        task: Mapping[str, Any],
        config: LabelConfig,
        context: Any,
        project_key: str,
        access: ImageAccess,
    ) -> Json:
        """Return `{"result", "score", "model_version"}`, with one region per object that was pointed at.

        Nothing is raised for what an annotator may do: an unclear prompt, an image that cannot be had and
        an answer that takes too long all give an empty result. Raises NoMemoryLeft.
        """
        started = time.monotonic()
        found: list[_Found] = []
        with self._waiting_room.entered():
            try:
                deadline = started + self._answer_within_s
                found = self._answers(task, config, context, project_key, access, deadline)
            except FutureTimeout:
                logger.warning(
                    "project %s, task %s: no smart answer within %.1f s",
                    project_key,
                    task.get("id"),
                    self._answer_within_s,
                )
            except NoMemoryLeft:
                raise  # nothing that the annotator did, and nothing that another click would mend
            except BackendError as exc:
                logger.warning("project %s, task %s: no smart answer: %s", project_key, task.get("id"), exc)
        logger.info(
            "project %s, task %s: smart answer of %d objects in %.0f ms",
            project_key,
            task.get("id"),
            len(found),
            (time.monotonic() - started) * 1000,
        )
        if found:
            self._followed_by(project_key, task, config, access)
        return make_prediction(
            [result for one in found for result in one.region],
            float(np.mean([one.score for one in found])) if found else 0.0,
            found[0].version if found else self._versions.current(project_key) or NOT_TRAINED,
        )

    def warm_up(self) -> None:
        """Load what the first answer needs, before the first annotator waits for it."""
        self._encoded.warm_up()

    def network_state(self) -> NetworkState:
        """Say which network answers now."""
        return self._encoded.network_state()

    def _answers(
        self,
        task: Mapping[str, Any],
        config: LabelConfig,
        context: Any,
        project_key: str,
        access: ImageAccess,
        deadline: float,
    ) -> list[_Found]:
        """Return what is found for each object. Raises FutureTimeout at the deadline, and BackendError."""
        config = config_of_task(config, task)
        request = parse_prompts(context, task, config)
        if request is None:
            return []
        return [
            found
            for page in request.pages
            for found in self._page_answers(page, request, config, project_key, access, deadline)
        ]

    def _page_answers(
        self,
        page: PagePrompts,
        request: PromptRequest,
        config: LabelConfig,
        project_key: str,
        access: ImageAccess,
        deadline: float,
    ) -> list[_Found]:
        ready = self._encoded.get(page.page.reference, project_key, access, deadline)
        size = ready.encoding.size
        if not page.fits(size):
            # The annotator sees another picture, where this one's mask would lie somewhere.
            logger.warning(
                "project %s: no smart answer: the prompts were drawn on a picture of another shape than the "
                "%d x %d pixels that are there now; reload the task",
                project_key,
                size.width,
                size.height,
            )
            return []
        objects = place_prompts(page, size)
        label_index = ready.labels.index(request.label) if request.label in ready.labels else None
        answers = []
        for prompts in objects:
            answering = self._batching.call(
                partial(ready.segmenter.segment, ready.encoding, prompts, label_index, ready.detector)
            )
            found: SegmentedObject | None = answering.result(timeout=max(0.0, deadline - time.monotonic()))
            written = self._written(page.page, prompts, found, config, project_key, access, deadline)
            if found is None and (written is None or written.area is None):
                continue
            guess = None
            if found is not None and found.label_index is not None:
                guess = ready.labels[found.label_index]
            form = answer_form(request, config, guess)
            if form is None:
                logger.info("no tag of the labeling config that draws has the label %r", request.label)
                continue
            is_turned = prompts.is_turned or not ready.turned_labels.isdisjoint(form[1])
            region, score = self._region(found, written, *form, size, page, is_turned=is_turned)
            if region:
                tags = config.texts_for_image(page.page.image_tag)
                text = None if written is None else written.text
                region += text_results(region, form[0].kind, tags, text)
                answers.append(_Found(region, score, ready.version))
        return answers

    def _written(
        self,
        page: TaskPage,
        prompts: Prompts,
        found: SegmentedObject | None,
        config: LabelConfig,
        project_key: str,
        access: ImageAccess,
        deadline: float,
    ) -> TextInBox | None:
        """Return what is written in a shape that was drawn around something, or else in the object found.

        None where no text is wanted, where there is none, and where there is no time to read it.
        """
        if not config.texts_for_image(page.image_tag) or not self._text.is_possible(project_key):
            return None
        box = None if found is None or found.mask is None else patch_box(found.mask)
        if prompts.outline_px is not None:
            corners = prompts.outline_px
            box = np.concatenate((corners.min(axis=0), corners.max(axis=0))).astype(np.float32)
        if box is None:
            return None

        def compute(work: Callable[[], Any]) -> Any:
            return self._batching.call(work).result(timeout=max(0.0, deadline - time.monotonic()))

        try:
            image = self._images.load_rgb(page.reference, access)
            written = self._text.read_in_box(image, box, compute)
        except FutureTimeout:
            logger.warning("project %s: a smart answer without text: no time was left", project_key)
            return None
        except TextReadingError as exc:
            logger.warning("project %s: a smart answer without text: %s", project_key, exc)
            return None
        if written is not None and prompts.outline_px is None:
            return replace(written, area=None)  # what was clicked on is the object, with text or without
        return written

    def _region(
        self,
        found: SegmentedObject | None,
        written: TextInBox | None,
        control: ControlTag,
        labels: tuple[str, ...],
        size: ImageSize,
        page: PagePrompts,
        *,
        is_turned: bool,
    ) -> tuple[list[Json], float]:
        """Return the region of the lines that were read in a shape, else of the object, and its score.

        is_turned: a rectangle is to be the smallest around the mask, and not the smallest upright one.
        """
        if written is not None and written.area is not None:
            mask, score = written.area, written.score
        else:
            assert found is not None
            mask, score = found.mask, found.score
        with self._lock:
            rng = np.random.default_rng(self._rng.integers(2**63))
        turned = patch_to_turned(mask) if is_turned else None
        region = region_for_object(
            control, labels, size, None, mask, score, page.page, rng=rng, turned_box_px=turned
        )
        return region, score


def task_references(task: Mapping[str, Any], config: LabelConfig) -> list[str]:
    """Return where the images of a task are to be had; [] for a task without any."""
    try:
        return [page.reference for page in task_pages(task, config)]
    except AnnotationError:
        return []
