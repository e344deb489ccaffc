"""The one way to the network for all threads of a process.

Networks use every core by themselves, so running two at once only makes both slower (and every thread that
calls into them keeps its own pool of workers). What comes alone gets the whole machine. Where more waits, it
goes to a few streams, which share the cores out and never wait for each other: a stream that is done takes
the next images at once. Requests wait their turn, small ones first, and images of different requests share a
batch where version and thresholds agree. A network takes only equal shapes at once, so what goes together has
one shape; of a long request's images, those go first that fill a batch.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, ImageSize
from backend.nn.runtime.memory import is_out_of_memory
from backend.service.engine.loaded_versions import ImagePredictor

logger = logging.getLogger(__name__)

RgbImage = npt.NDArray[np.uint8]
MOST_IMAGES_AT_ONCE = 8
# An image of a long request lets fuller batches pass, but not when this many have come after it.
MOST_LATER_IMAGES = 128


@dataclass(frozen=True)
class DetectionLimits:
    """What the network keeps: from which score, up to which overlap, and whether masks are wanted."""

    confidence_threshold: float
    nms_threshold: float
    with_masks: bool = True
    max_regions: int = 100


class Streams(Protocol):
    """Threads that compute at the same time, each with its share of the machine."""

    @property
    def count(self) -> int:
        """How many there are."""

    def submit(self, work: Callable[[], None]) -> object:
        """Run the work, which raises nothing, in a thread that is free."""


@dataclass(order=True)
class _Waiting:
    """What was submitted together; input_size is that of its first image."""

    rank: int
    turn: int
    predictor: ImagePredictor = field(compare=False)
    limits: DetectionLimits = field(compare=False)
    images: Sequence[RgbImage] = field(compare=False)
    future: Future[list[Detections]] = field(compare=False)
    input_size: ImageSize | None = field(compare=False)

    @property
    def group(self) -> tuple[ImagePredictor, DetectionLimits, ImageSize | None]:
        """What images of one batch have in common."""
        return self.predictor, self.limits, self.input_size


class BatchingQueue:
    """Hands batches to predictors in a thread of its own, which starts with the first image.

    open_streams: called once, with the first batch; without it everything runs in the queue's own thread.
    """

    def __init__(
        self, open_streams: Callable[[], Streams] | None = None, *, most_images: int = MOST_IMAGES_AT_ONCE
    ) -> None:
        self._open_streams = open_streams
        self._most_images = most_images
        self._condition = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._turns = itertools.count()
        self._thread: threading.Thread | None = None
        self._running = 0
        self._busy_since = 0.0
        self.images_done = 0
        self.seconds_busy = 0.0

    def submit(
        self,
        predictor: ImagePredictor,
        images: Sequence[RgbImage],
        limits: DetectionLimits,
        *,
        is_bulk: bool = False,
    ) -> Future[list[Detections]]:
        """Queue images of one request; the future holds one Detections per image, in order.

        is_bulk: part of a long request, which lets single images pass.
        """
        future: Future[list[Detections]] = Future()
        input_size = predictor.input_size(images[0]) if images else None
        with self._condition:
            item = _Waiting(int(is_bulk), next(self._turns), predictor, limits, images, future, input_size)
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="batching-queue", daemon=True)
                self._thread.start()
            self._condition.notify()
        return future

    def call(self, work: Callable[[], Any], *, is_bulk: bool = False) -> Future[Any]:
        """Run another use of the network (an encoding for a smart tool) in its turn."""
        return self.submit(_Call(work), (), _NO_LIMITS, is_bulk=is_bulk)

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing runs and nothing waits."""
        with self._condition:
            return not self._waiting and not self._running

    def _work(self) -> None:
        streams = self._opened_streams()
        count = streams.count if streams is not None else 1
        while True:
            with self._condition:
                while not self._waiting or self._running >= count:
                    self._condition.wait()
                batch = self._take_batch(count)
                is_alone = not self._running and not self._waiting
                if not self._running:
                    self._busy_since = time.perf_counter()
                self._running += 1
            if streams is None or is_alone:
                self._run(batch)
            else:
                streams.submit(partial(self._run, batch))

    def _opened_streams(self) -> Streams | None:
        if self._open_streams is None:
            return None
        try:
            return self._open_streams()
        except Exception:  # such as a device that torch does not know: each request says so for itself
            logger.exception("no streams to compute in; going on in one thread")
            return None

    def _take_batch(self, streams: int) -> list[_Waiting]:
        """Take what to run next: a fair share of what waits, so that all streams end together."""
        waiting_images = sum(len(item.images) for item in self._waiting)
        share = -(-min(self._most_images, waiting_images) // streams)
        in_turn = sorted(self._waiting)
        leader = _leader_of_fullest(in_turn, share) if in_turn[0].rank else in_turn[0]
        batch, room = [leader], share - len(leader.images)
        for item in in_turn:
            if item is not leader and item.group == leader.group and len(item.images) <= room:
                batch.append(item)
                room -= len(item.images)
        taken = {id(item) for item in batch}
        self._waiting = [w for w in in_turn if id(w) not in taken]
        return batch

    def _run(self, batch: list[_Waiting]) -> None:
        try:
            self._answer(batch)
        finally:
            with self._condition:
                self._running -= 1
                if not self._running:
                    self.seconds_busy += time.perf_counter() - self._busy_since
                self._condition.notify()

    def _answer(self, batch: list[_Waiting]) -> None:
        batch = [item for item in batch if item.future.set_running_or_notify_cancel()]
        if not batch:
            return
        first = batch[0]
        try:
            if isinstance(first.predictor, _Call):
                first.future.set_result(first.predictor.work())
                return
            images = [image for item in batch for image in item.images]
            found = _predict_in_pieces(first.predictor, images, first.limits)
        except Exception as exc:
            if len(batch) == 1:
                first.future.set_exception(exc)
                return
            logger.warning("a batch of %d requests failed (%s); running each alone", len(batch), exc)
            for item in batch:
                self._run_alone(item)
            return
        with self._condition:
            self.images_done += len(images)
        start = 0
        for item in batch:
            item.future.set_result(found[start : start + len(item.images)])
            start += len(item.images)

    def _run_alone(self, item: _Waiting) -> None:
        try:
            item.future.set_result(_predict_in_pieces(item.predictor, list(item.images), item.limits))
        except Exception as exc:
            item.future.set_exception(exc)


def _leader_of_fullest(in_turn: Sequence[_Waiting], share: int) -> _Waiting:
    """Return the first of those that fill a batch best, or the very first where too many came after it.

    in_turn: parts of long requests alone, by turn.
    """
    first = in_turn[0]
    if in_turn[-1].turn - first.turn > MOST_LATER_IMAGES:
        return first
    leaders: dict[Any, _Waiting] = {}
    counts: Counter[Any] = Counter()
    for item in in_turn:
        leaders.setdefault(item.group, item)
        counts[item.group] += len(item.images) or share  # other work fills a batch by itself
    return leaders[max(leaders, key=lambda group: min(counts[group], share))]


class _Call:
    """Stands where a predictor would, for work that is not a batch of images."""

    labels: tuple[str, ...] = ()
    version = ""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def input_size(self, image: RgbImage) -> ImageSize:
        raise AssertionError("a call has no images")

    def predict(self, images: Sequence[RgbImage], **_: Any) -> list[Detections]:
        raise AssertionError("a call is never batched")


_NO_LIMITS = DetectionLimits(confidence_threshold=1.0, nms_threshold=1.0)


def _predict_in_pieces(
    predictor: ImagePredictor, images: list[RgbImage], limits: DetectionLimits
) -> list[Detections]:
    """Predict, in halves where the memory does not suffice (a training may share the device)."""
    try:
        return predictor.predict(
            images,
            confidence_threshold=limits.confidence_threshold,
            nms_threshold=limits.nms_threshold,
            with_masks=limits.with_masks,
            max_regions=limits.max_regions,
        )
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc) or len(images) < 2:
            raise
        logger.warning("out of memory with %d images at once; trying halves", len(images))
    middle = len(images) // 2
    first_half = _predict_in_pieces(predictor, images[:middle], limits)
    return first_half + _predict_in_pieces(predictor, images[middle:], limits)
