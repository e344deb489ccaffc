"""Answers to smart tools: prompts in Label Studio's words in, one region per object out.

An answer takes at most ANSWER_WITHIN_S; after that the annotator gets nothing this time, while the image
goes on being prepared for the next click.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from backend.core.instances import FloatArray, ImageSize
from backend.core.label_config import ControlTag, LabelConfig
from backend.core.prompts import PagePrompts, PromptRequest, answer_control, parse_prompts, place_prompts
from backend.core.results import make_prediction, region_for_object
from backend.core.task_pages import task_pages
from backend.errors import AnnotationError, BackendError
from backend.service.encodings import EncodingCache
from backend.service.lane import Cut, NetworkLane
from backend.service.ports import ImageAccess, ImageSource, Json
from backend.service.versions import NOT_TRAINED, Predictor, Versions

if TYPE_CHECKING:
    from backend.nn.promptable import Encoding, PromptSegmenter, SegmentedObject

logger = logging.getLogger(__name__)

ANSWER_WITHIN_S = 1.8
"""A little under the two seconds that an annotator is promised, for the way there and back."""
MOST_ENCODING_THREADS = 4
MOST_SEGMENTERS = 4
HINT_CUT = Cut(confidence_threshold=0.08, nms_threshold=0.6, with_masks=True, max_regions=60)
"""What the detector hands to the smart tools: also the unlikely, since the annotator points at one."""

LoadSegmenter = Callable[[Path | None], "PromptSegmenter"]
Followed = Callable[[str, Mapping[str, Any], LabelConfig], None]


class Interactive:
    """Answers the prompts of one process; every thread may call it."""

    def __init__(
        self,
        images: ImageSource,
        versions: Versions,
        lane: NetworkLane,
        load_segmenter: LoadSegmenter,
        version_folder: Callable[[str, str], Path],
        *,
        cache_bytes: int,
        answer_within_s: float = ANSWER_WITHIN_S,
        seed: int | None = None,
    ) -> None:
        """Join the collaborators; load_segmenter gets a version's folder, or None before any training."""
        self._images = images
        self._versions = versions
        self._lane = lane
        self._load_segmenter = load_segmenter
        self._version_folder = version_folder
        self._answer_within_s = answer_within_s
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._segmenters: OrderedDict[tuple[str, str], Future[PromptSegmenter]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None
        self._at_work = 0
        self._last_answer = 0.0
        self.encodings = EncodingCache(cache_bytes)
        self.followed_by: Followed | None = None

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
        an answer that takes too long all give an empty result.
        """
        started = time.monotonic()
        with self._lock:
            self._at_work += 1
        try:
            version = self._versions.reported(project_key)
            results, scores = self._results(task, config, context, project_key, access, started)
        except BackendError as exc:
            logger.warning("project %s, task %s: no smart answer: %s", project_key, task.get("id"), exc)
            version, results, scores = self._versions.reported(project_key), [], []
        finally:
            with self._lock:
                self._at_work -= 1
                self._last_answer = time.monotonic()
        logger.info(
            "project %s, task %s: smart answer of %d regions in %.0f ms",
            project_key,
            task.get("id"),
            len(results),
            (time.monotonic() - started) * 1000,
        )
        if self.followed_by is not None and results:
            self.followed_by(project_key, task, config)
        return make_prediction(results, float(np.mean(scores)) if scores else 0.0, version)

    def warm_up(self) -> None:
        """Load the general network and run it once, before the first annotator waits for it."""
        segmenter = self._segmenter("", None).result()
        self._lane.call(segmenter.warm_up).result()

    def prepare(self, reference: str, project_key: str, access: ImageAccess) -> None:
        """Encode an image that is likely to be asked for. Raises FetchError."""
        self._encoding(reference, project_key, access, is_bulk=True)

    def is_prepared(self, reference: str, project_key: str) -> bool:
        """Tell whether an image's encoding is kept, or on its way."""
        return self._key(reference, project_key, self._versions.reported(project_key)) in self.encodings

    def seconds_idle(self) -> float:
        """Return for how long nobody has waited for an answer here, 0 while somebody does."""
        with self._lock:
            return 0.0 if self._at_work else time.monotonic() - self._last_answer

    # -- one request --------------------------------------------------------------------------------------

    def _results(
        self,
        task: Mapping[str, Any],
        config: LabelConfig,
        context: Any,
        project_key: str,
        access: ImageAccess,
        started: float,
    ) -> tuple[list[Json], list[float]]:
        try:
            request = parse_prompts(context, task, config)
        except AnnotationError:
            request = None
        if request is None:
            return [], []
        results: list[Json] = []
        scores: list[float] = []
        deadline = started + self._answer_within_s
        try:
            for page in request.pages:
                for region, score in self._page_results(page, request, config, project_key, access, deadline):
                    results += region
                    scores.append(score)
        except FutureTimeout:
            logger.warning(
                "project %s, task %s: no smart answer within %.1f s",
                project_key,
                task.get("id"),
                self._answer_within_s,
            )
            return [], []
        return results, scores

    def _page_results(
        self,
        page: PagePrompts,
        request: PromptRequest,
        config: LabelConfig,
        project_key: str,
        access: ImageAccess,
        deadline: float,
    ) -> list[tuple[list[Json], float]]:
        """Return the regions of each object on one page. Raises FutureTimeout at the deadline."""
        encoding, segmenter, labels = (
            self._pool()
            .submit(self._prepared, page.page.reference, project_key, access)
            .result(timeout=_left(deadline))
        )
        objects = place_prompts(page, encoding.size)
        label_index = labels.index(request.label) if request.label in labels else None
        answers = []
        for prompts in objects:
            turn = self._lane.call(partial(segmenter.segment, encoding, prompts, label_index))
            found: SegmentedObject | None = turn.result(timeout=_left(deadline))
            if found is None:
                continue
            label = request.label
            if label is None:
                label = _best_guess(found, labels, config, request.control)
            control = answer_control(request, config, label)
            region = self._region(found, control, label, encoding.size, page)
            if region:
                answers.append((region, found.score))
        return answers

    def _region(
        self,
        found: SegmentedObject,
        control: ControlTag,
        label: str | None,
        size: ImageSize,
        page: PagePrompts,
    ) -> list[Json]:
        with self._lock:
            rng = np.random.default_rng(self._rng.integers(2**63))
        box = _deepest_pixel(found) if control.kind == "keypoint" else None
        return region_for_object(control, label, size, box, found.mask, found.score, page.page, rng=rng)

    # -- what an answer needs -----------------------------------------------------------------------------

    def _prepared(
        self, reference: str, project_key: str, access: ImageAccess
    ) -> tuple[Encoding, PromptSegmenter, tuple[str, ...]]:
        encoding, predictor = self._encoding(reference, project_key, access)
        segmenter = self._segmenter(project_key, predictor).result()
        return encoding, segmenter, predictor.labels if predictor is not None else ()

    def _encoding(
        self, reference: str, project_key: str, access: ImageAccess, *, is_bulk: bool = False
    ) -> tuple[Encoding, Predictor | None]:
        predictor = self._versions.predictor(project_key)
        version = predictor.version if predictor is not None else NOT_TRAINED

        def make() -> Encoding:
            from backend.nn.promptable import encode_image

            image = self._images.load_rgb(reference, access)
            detections = None
            if predictor is not None:
                detections = self._lane.submit(predictor, [image], HINT_CUT, is_bulk=is_bulk).result()[0]
            return encode_image(image, detections)

        key = self._key(reference, project_key, version)
        return cast("Encoding", self.encodings.get(key, make)), predictor

    def _key(self, reference: str, project_key: str, version: str) -> tuple[str, str, str]:
        return project_key, version, reference

    def _segmenter(self, project_key: str, predictor: Predictor | None) -> Future[PromptSegmenter]:
        key = (project_key, predictor.version) if predictor is not None else ("", NOT_TRAINED)
        with self._lock:
            future = self._segmenters.get(key)
            is_mine = future is None
            if future is None:
                future = self._segmenters[key] = Future()
            self._segmenters.move_to_end(key)
            while len(self._segmenters) > MOST_SEGMENTERS:
                self._segmenters.popitem(last=False)
        if is_mine:
            try:
                folder = None if predictor is None else self._version_folder(*key)
                future.set_result(self._load_segmenter(folder))
            except BaseException as exc:
                with self._lock:
                    self._segmenters.pop(key, None)
                future.set_exception(exc)
        return future

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST_ENCODING_THREADS, thread_name_prefix="smart-tools")
            return self._threads


def task_references(task: Mapping[str, Any], config: LabelConfig) -> list[str]:
    """Return where the images of a task are to be had; [] for a task without any."""
    try:
        return [page.reference for page in task_pages(task, config)]
    except AnnotationError:
        return []


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _best_guess(
    found: SegmentedObject, labels: tuple[str, ...], config: LabelConfig, smart: ControlTag
) -> str | None:
    """Return the label of an object whose prompt has none: the detector's, else the only one there is."""
    if found.label_index is not None and labels[found.label_index] in config.labels:
        return labels[found.label_index]
    choices = smart.labels or config.labels
    return choices[0] if len(choices) == 1 else None


def _deepest_pixel(found: SegmentedObject) -> FloatArray:
    """Return the box [4] of the pixel deepest inside the mask: where a key point on the object belongs."""
    depth = cv2.distanceTransform(np.pad(found.mask.bits.astype(np.uint8), 1), cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    x, y = int(column) - 1 + found.mask.left_px, int(row) - 1 + found.mask.top_px
    return np.array([x, y, x + 1, y + 1], dtype=np.float32)
