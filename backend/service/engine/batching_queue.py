"""The one way to the network for all threads of a process.

Networks use every core by themselves, so running two at once only makes both slower (and every thread that
calls into them keeps its own pool of workers). What comes alone gets the whole machine. Where more waits, it
goes to a few streams, which divide the cores among them and never wait for each other: a stream that is done
takes the next images at once. Single images go before those of long requests, and images of different
requests share a batch where version and limits agree. A network takes only equal shapes at once, so the
images of a batch have one shape; of a long request's images, those go first that fill a batch.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from backend.core.geometry.instances import Detections
from backend.service.engine.cut_images import CutImages, TileCount, size_of
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.work_items import (
    Batch,
    BatchKey,
    CallItem,
    DetectionLimits,
    ImagesItem,
    Place,
    RgbImage,
    WorkItem,
)

logger = logging.getLogger(__name__)

MOST_IMAGES_AT_ONCE = 8
# An image of a long request lets fuller batches pass, but not when this many have come after it.
MOST_LATER_IMAGES = 128
_Result = TypeVar("_Result")


class Streams(Protocol):
    """Threads that compute at the same time, each with some of the machine's cores."""

    @property
    def count(self) -> int:
        """How many there are."""

    def submit(self, work: Callable[[], None]) -> object:
        """Run the work, which raises nothing, in a thread that is free."""


class BatchingQueue:
    """Hands batches to predictors in a thread of its own, which starts with the first item.

    open_streams: called once, with the first batch; without it everything runs in the queue's own thread.
    """

    def __init__(self, open_streams: Callable[[], Streams] | None = None) -> None:
        self._open_streams = open_streams
        self._condition = threading.Condition()
        self._waiting: list[WorkItem] = []
        self._numbers = itertools.count()
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
        tiles: TileCount | None = None,
    ) -> Future[list[Detections]]:
        """Queue images of one request; the future holds one Detections per image, in order.

        images: at least one; they go together, and the shape of the first stands for all. Of large ones that
        the predictor cuts, each view goes for itself, so that others pass. is_bulk: they belong to a
        long request, which lets single images pass. tiles: counts the views of those that are cut.
        """
        in_tiles = predictor.in_tiles
        if in_tiles is not None and any(in_tiles.tiling.cuts(size_of(image)) for image in images):
            cut = CutImages(in_tiles, images, limits)
            parts = [
                self._submit(in_tiles.uncut, [view], cut.limits_of_views, is_bulk=is_bulk, is_view=True)
                for view in cut.views()
            ]
            if tiles is not None:
                tiles.follow(parts)
            return cut.gathered(parts)
        return self._submit(predictor, images, limits, is_bulk=is_bulk)

    def _submit(
        self,
        predictor: ImagePredictor,
        images: Sequence[RgbImage],
        limits: DetectionLimits,
        *,
        is_bulk: bool,
        is_view: bool = False,
    ) -> Future[list[Detections]]:
        key = BatchKey(predictor, limits, predictor.input_size(images[0]))
        future: Future[list[Detections]] = Future()
        self._add(lambda number: ImagesItem(Place(is_bulk, number, is_view), key, images, future))
        return future

    def call(self, work: Callable[[], _Result], *, is_bulk: bool = False) -> Future[_Result]:
        """Queue another use of the network (an encoding for a smart tool), which runs alone."""
        future: Future[_Result] = Future()
        self._add(lambda number: CallItem(Place(is_bulk, number), work, future))
        return future

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing runs and nothing waits."""
        with self._condition:
            return not self._waiting and not self._running

    def _add(self, make_item: Callable[[int], WorkItem]) -> None:
        with self._condition:
            self._waiting.append(make_item(next(self._numbers)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="batching-queue", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _work(self) -> None:
        streams = self._opened_streams()
        count = streams.count if streams is not None else 1
        while True:
            with self._condition:
                while not self._waiting or self._running >= count:
                    self._condition.wait()
                work = self._take(count)
                is_alone = not self._running and not self._waiting
                if not self._running:
                    self._busy_since = time.perf_counter()
                self._running += 1
            if streams is None or is_alone:
                self._run(work)
            else:
                streams.submit(partial(self._run, work))

    def _opened_streams(self) -> Streams | None:
        if self._open_streams is None:
            return None
        try:
            return self._open_streams()
        except Exception:  # such as a device that torch does not know: each request says so for itself
            logger.exception("no streams to compute in; going on in one thread")
            return None

    def _take(self, streams: int) -> Batch | CallItem:
        """Take what to run next: as many images for each stream, so that all streams end together."""
        in_order = sorted(self._waiting, key=lambda item: item.place.order)
        most = -(-min(MOST_IMAGES_AT_ONCE, sum(_image_count(item) for item in in_order)) // streams)
        first = _first_of_fullest(in_order, most) if in_order[0].place.is_bulk else in_order[0]
        if isinstance(first, CallItem):
            self._waiting.remove(first)
            return first
        most = min(most, first.key.predictor.most_at_once or most)
        batch, room = [first], most - len(first.images)
        for item in in_order:
            if item is first or isinstance(item, CallItem) or item.key != first.key:
                continue
            if len(item.images) <= room:
                batch.append(item)
                room -= len(item.images)
        taken = {id(item) for item in batch}
        self._waiting = [item for item in in_order if id(item) not in taken]
        return Batch(tuple(batch))

    def _run(self, work: Batch | CallItem) -> None:
        try:
            done = work.run()
            with self._condition:
                self.images_done += done
        finally:
            with self._condition:
                self._running -= 1
                if not self._running:
                    self.seconds_busy += time.perf_counter() - self._busy_since
                self._condition.notify()


def _image_count(item: WorkItem) -> int:
    return 0 if isinstance(item, CallItem) else len(item.images)


def _first_of_fullest(in_order: Sequence[WorkItem], most: int) -> WorkItem:
    """Return the first of those that fill a batch best, or the very first where too many came after it.

    in_order: parts of long requests alone. most: images of a full batch.
    """
    first = in_order[0]
    if in_order[-1].place.number - first.place.number > MOST_LATER_IMAGES:
        return first
    firsts: dict[Any, WorkItem] = {}
    counts: Counter[Any] = Counter()
    for item in in_order:
        group = item if isinstance(item, CallItem) else item.key  # a call fills a batch by itself
        firsts.setdefault(group, item)
        counts[group] += _image_count(item) or most
    return firsts[max(firsts, key=lambda group: min(counts[group], most))]
