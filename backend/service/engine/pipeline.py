"""Tasks in, predictions out: images fetched and decoded, network and results at the same time.

One thread (the caller's) directs. Fetching runs ahead in a few threads as far as memory allows, images wait
for the network in the process's batching queue, and detections become regions in one more thread. The caller
gets each task as soon as its last image is done.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from backend.core.geometry.instances import Detections
from backend.core.labelstudio.answers import answers_to_results
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.predictions import detections_to_results, make_prediction
from backend.core.labelstudio.task_labels import config_of_task, keys_without_labels
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.errors import BackendError, RequestError, TextReadingError
from backend.service.engine.batching_queue import MOST_IMAGES_AT_ONCE, BatchingQueue
from backend.service.engine.cut_images import TileCount
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.work_items import DetectionLimits, RgbImage
from backend.service.ports import ImageAccess, ImageSource, Json
from backend.service.projects.parameters import Thresholds
from backend.service.text.reading import ReadObjects, TextReading

logger = logging.getLogger(__name__)

FETCH_THREADS = 8
MOST_WAITING_IMAGES = 8 * MOST_IMAGES_AT_ONCE  # enough for images of one shape to find each other
MOST_WAITING_BYTES = 192 * 1024**2
OnTiles = Callable[[int, int], None]
_Result = TypeVar("_Result")
_LOOK_UP_S = 1.0  # how often a waiting run looks whether it has to end


@dataclass(frozen=True)
class Work:
    """Tasks of one project to predict with one version.

    access: what fetching the images of a task needs, by task id.
    """

    project_key: str
    config: LabelConfig
    tasks: Sequence[Mapping[str, Any]]
    thresholds: Thresholds
    access: Callable[[int | None], ImageAccess]
    is_bulk: bool = True


@dataclass(frozen=True)
class Answered:
    """The outcome for the task at a position; prediction is None where it could not be made."""

    position: int
    prediction: Json | None


@dataclass(eq=False)
class _Page:
    """One image of a task; image: its pixels, kept where its text is to be read."""

    position: int
    ordinal: int
    page: TaskPage
    access: ImageAccess
    image: RgbImage | None = None


@dataclass(frozen=True)
class _Event:
    """A stage is done with a page: value is an image, a future of detections, or what they are written as."""

    stage: str  # fetched, detected, encoded
    page: _Page
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Written:
    """A page's regions, its score, and what was found about it as a whole."""

    page: TaskPage
    regions: list[Json]
    image_score: float
    extras: Mapping[str, Any]


@dataclass
class _Task:
    """A task at work; config: with its own labels, where labels come from tasks."""

    config: LabelConfig
    waiting_for: int
    written: list[_Written | None]
    failed: bool = False


def task_id_of(task: Mapping[str, Any]) -> int | None:
    """Return the id of a task, None where it has none that is a number."""
    value = task.get("id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class Pipeline:
    """Predicts tasks with the collaborators of one process; every `run` is independent of the others."""

    def __init__(self, images: ImageSource, batching: BatchingQueue, text: TextReading) -> None:
        self._images = images
        self._batching = batching
        self._text = text
        self._latest = math.inf

    def run(
        self,
        work: Work,
        predictor: ImagePredictor,
        deadline: float | None = None,
        on_tiles: OnTiles | None = None,
    ) -> Iterator[Answered]:
        """Yield each task's outcome as it is done; ends early at the deadline (of time.monotonic()).

        on_tiles: told in the caller's thread, every second or so, how many more tiles of images that are cut
        are done, and how many more are known.
        """

        def seconds_left() -> float:
            return min(math.inf if deadline is None else deadline, self._latest) - time.monotonic()

        run = _Run(self._images, self._batching, self._text, work, predictor, seconds_left, on_tiles)
        yield from run.broken
        if len(run.to_fetch) == 1:
            yield from run.one()
        elif run.to_fetch:
            yield from run.many()

    def hurry(self, seconds: float) -> None:
        """End every run within so many seconds: the process has been told to leave."""
        self._latest = time.monotonic() + seconds

    @property
    def is_leaving(self) -> bool:
        """Tell whether the process has been told to leave."""
        return self._latest != math.inf


class _Run:
    def __init__(
        self,
        images: ImageSource,
        batching: BatchingQueue,
        text: TextReading,
        work: Work,
        predictor: ImagePredictor,
        seconds_left: Callable[[], float],
        on_tiles: OnTiles | None,
    ) -> None:
        self.images = images
        self.batching = batching
        self.work = work
        self.predictor = predictor
        self.seconds_left = seconds_left
        self.tiles = TileCount()
        self.tiles_told = (0, 0)
        self.on_tiles = on_tiles
        self.text = text
        self.reads_text = work.config.wants_text and text.is_possible(work.project_key)
        self.limits = DetectionLimits(work.thresholds.lowest_confidence, work.thresholds.nms)
        self.to_fetch: deque[_Page] = deque()
        self.tasks: dict[int, _Task] = {}
        self.broken: list[Answered] = []
        for position, task in enumerate(work.tasks):
            self._add(position, task)
        self._log_tasks_without_labels()

    def _add(self, position: int, task: Mapping[str, Any]) -> None:
        try:
            config = config_of_task(self.work.config, task)
            pages = task_pages(task, config)
        except RequestError as exc:
            self._log_failure(position, exc)
            self.broken.append(Answered(position, None))
            return
        access = self.work.access(task_id_of(task))
        self.tasks[position] = _Task(config, len(pages), [None] * len(pages))
        self.to_fetch.extend(_Page(position, ordinal, page, access) for ordinal, page in enumerate(pages))

    def _log_tasks_without_labels(self) -> None:
        tasks = [self.work.tasks[position] for position in self.tasks]
        bare = [task for task in tasks if keys_without_labels(self.work.config, task)]
        if bare:
            logger.warning(
                "project %s: %d of %d tasks have no list of labels under %s, so no label of theirs is "
                'predicted (task %s is the first); give each task a list of objects with a "value" there',
                self.work.project_key,
                len(bare),
                len(self.work.tasks),
                ", ".join(keys_without_labels(self.work.config, bare[0])),
                bare[0].get("id"),
            )

    def _log_failure(self, position: int, error: Exception) -> None:
        task_id = self.work.tasks[position].get("id")
        is_ours = not isinstance(error, BackendError)
        logger.log(
            logging.ERROR if is_ours else logging.WARNING,
            "project %s, task %s gets no prediction: %s",
            self.work.project_key,
            task_id,
            error,
            exc_info=error if is_ours else None,
        )

    # -- one image: no threads but the queue's ------------------------------------------------------------

    def one(self) -> Iterator[Answered]:
        page = self.to_fetch.popleft()
        try:
            image = self._load(page)
            future = self._send(image)
            detections = self._wait(future)[0]
            self._tell_tiles()
            written = self._written(page, detections)
        except FutureTimeout:
            future.cancel()
        except Exception as exc:  # the border of a task: whatever goes wrong costs this one, and is logged
            yield from self._close(self._fail_page(page, exc))
        else:
            yield from self._close(self._finish_page(page, written))

    # -- many images: stages that report to one queue -----------------------------------------------------

    def many(self) -> Iterator[Answered]:
        events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        fetchers = ThreadPoolExecutor(min(FETCH_THREADS, len(self.to_fetch)), "fetch")
        encoder = ThreadPoolExecutor(1, "results")
        in_network: dict[Future[list[Detections]], int] = {}
        in_reading: dict[_Page, int] = {}
        fetching, left = 0, len(self.to_fetch)
        try:
            while left:
                while self.to_fetch and _has_room(fetching, [*in_network.values(), *in_reading.values()]):
                    page = self.to_fetch.popleft()
                    fetchers.submit(self._fetch, page, events)
                    fetching += 1
                if self.seconds_left() <= 0:
                    return
                self._tell_tiles()
                try:
                    event = events.get(timeout=min(_LOOK_UP_S, self.seconds_left()))
                except queue.Empty:
                    continue
                page = event.page
                if event.stage == "fetched":
                    fetching -= 1
                if event.stage == "encoded":
                    in_reading.pop(page, None)
                if event.error is not None:
                    left -= 1
                    yield from self._close(self._fail_page(page, event.error))
                elif event.stage == "fetched":
                    future = self._send(event.value)
                    in_network[future] = event.value.nbytes
                    future.add_done_callback(partial(_report, page=page, events=events))
                elif event.stage == "detected":
                    del in_network[event.value]
                    if page.image is not None:
                        in_reading[page] = page.image.nbytes
                    encoder.submit(self._encode, page, event.value, events)
                else:
                    left -= 1
                    self._tell_tiles()
                    yield from self._close(self._finish_page(page, event.value))
        finally:
            for future in in_network:
                future.cancel()
            fetchers.shutdown(wait=False, cancel_futures=True)
            encoder.shutdown(wait=False, cancel_futures=True)

    def _send(self, image: RgbImage) -> Future[list[Detections]]:
        return self.batching.submit(
            self.predictor, [image], self.limits, is_bulk=self.work.is_bulk, tiles=self.tiles
        )

    def _tell_tiles(self) -> None:
        (done, total), (done_before, total_before) = self.tiles.reached, self.tiles_told
        if self.on_tiles is not None and (done, total) != self.tiles_told:
            self.on_tiles(done - done_before, total - total_before)
        self.tiles_told = done, total

    def _fetch(self, page: _Page, events: queue.SimpleQueue[_Event]) -> None:
        try:
            image = self._load(page)
        except Exception as exc:  # the border of a task, as in `one`
            events.put(_Event("fetched", page, error=exc))
        else:
            events.put(_Event("fetched", page, image))

    def _encode(
        self, page: _Page, future: Future[list[Detections]], events: queue.SimpleQueue[_Event]
    ) -> None:
        try:
            detections = future.result()[0]
            value = self._written(page, detections)
        except FutureTimeout:
            return  # the run has ended
        except Exception as exc:  # the border of a task, as in `one`
            events.put(_Event("encoded", page, error=exc))
        else:
            events.put(_Event("encoded", page, value))

    # -- joining the pages of a task ----------------------------------------------------------------------

    def _load(self, page: _Page) -> RgbImage:
        image = self.images.load_rgb(page.page.reference, page.access)
        if self.reads_text and self.work.config.texts_for_image(page.page.image_tag):
            page.image = image
        return image

    def _written(self, page: _Page, detections: Detections) -> _Written:
        read = ReadObjects(detections, ())
        if page.image is not None:
            read = self._read(page, page.image, detections)
            page.image = None
        regions = detections_to_results(
            read.detections,
            self.predictor.labels,
            self.tasks[page.position].config,
            page.page,
            self.work.thresholds.confidence_by_control,
            np.random.default_rng(),
            read.texts,
        )
        return _Written(page.page, regions, read.detections.image_score, detections.extras)

    def _read(self, page: _Page, image: RgbImage, detections: Detections) -> ReadObjects:
        """Return the objects of an image with their texts; objects without text where reading fails.

        Raises TextReadingError where there is no object either, and FutureTimeout.
        """
        labels, habit = self.predictor.labels, self.predictor.line_habit
        lowest = self.limits.confidence_threshold
        try:
            return self.text.read(image, detections, labels, habit, lowest, self._compute)
        except TextReadingError as exc:
            if not len(detections):
                raise
            task_id = self.work.tasks[page.position].get("id")
            logger.warning(
                "project %s, task %s: regions without text: %s", self.work.project_key, task_id, exc
            )
            return ReadObjects(detections, ())

    def _compute(self, work: Callable[[], Any]) -> Any:
        return self._wait(self.batching.call(work, is_bulk=self.work.is_bulk))

    def _fail_page(self, page: _Page, error: Exception) -> int:
        task = self.tasks[page.position]
        if not task.failed:
            self._log_failure(page.position, error)
        task.failed = True
        return page.position

    def _finish_page(self, page: _Page, written: _Written) -> int:
        self.tasks[page.position].written[page.ordinal] = written
        return page.position

    def _close(self, position: int) -> Iterator[Answered]:
        """Count one page of a task as done; yield the task when that was its last."""
        task = self.tasks[position]
        task.waiting_for -= 1
        if task.waiting_for:
            return
        if task.failed:
            yield Answered(position, None)
            return
        written = [page for page in task.written if page is not None]
        results = [region for page in written for region in page.regions] + self._answers(written)
        score = min(page.image_score for page in written)
        yield Answered(position, make_prediction(results, score, self.predictor.version))

    def _answers(self, written: Sequence[_Written]) -> list[Json]:
        return answers_to_results(
            [(page.page, page.extras) for page in written],
            self.work.config,
            self.work.thresholds.confidence_by_control,
            np.random.default_rng(),
        )

    def _wait(self, future: Future[_Result]) -> _Result:
        """Return the future's result. Raises FutureTimeout when no time is left."""
        while True:
            left_s = self.seconds_left()
            self._tell_tiles()
            try:
                return future.result(timeout=max(0.0, min(_LOOK_UP_S, left_s)))
            except FutureTimeout:
                if left_s <= _LOOK_UP_S:
                    future.cancel()
                    raise


def _has_room(fetching: int, waiting_bytes: Sequence[int]) -> bool:
    return (
        fetching < FETCH_THREADS
        and fetching + len(waiting_bytes) < MOST_WAITING_IMAGES
        and sum(waiting_bytes) < MOST_WAITING_BYTES
    )


def _report(future: Future[list[Detections]], *, page: _Page, events: queue.SimpleQueue[_Event]) -> None:
    events.put(_Event("detected", page, future))
