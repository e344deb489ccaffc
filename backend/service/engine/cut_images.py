"""Large images on their way to the network: cut into views, and one answer made of what these show."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.tile_joining import joined
from backend.core.geometry.tiling import MOST_IN_VIEW
from backend.service.engine.image_predictor import InTiles
from backend.service.engine.work_items import DetectionLimits, RgbImage


def size_of(image: RgbImage) -> ImageSize:
    """Return the size of an image, uint8 [H, W, 3]."""
    return ImageSize(image.shape[1], image.shape[0])


class TileCount:
    """How many tiles of cut images are done of how many are known; several threads may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = self._total = 0

    @property
    def reached(self) -> tuple[int, int]:
        """How many are done, of how many."""
        with self._lock:
            return self._done, self._total

    def follow(self, parts: Sequence[Future[list[Detections]]]) -> None:
        """Count the views of an image, by their futures; one that was cancelled counts as done."""
        with self._lock:
            self._total += len(parts)
        for part in parts:
            part.add_done_callback(self._count)

    def _count(self, _: Future[list[Detections]]) -> None:
        with self._lock:
            self._done += 1


@dataclass(frozen=True, eq=False)
class CutImages:
    """Images of one request for a predictor that cuts them; limits: of the request."""

    in_tiles: InTiles
    images: Sequence[RgbImage]
    limits: DetectionLimits

    @property
    def most_regions(self) -> int:
        """How many regions an image has at most."""
        most = self.limits.max_regions
        return self.in_tiles.most_regions if most is None else most

    @property
    def limits_of_views(self) -> DetectionLimits:
        """What the network keeps of each view."""
        return replace(self.limits, max_regions=min(self.most_regions, MOST_IN_VIEW))

    def views(self) -> Iterator[RgbImage]:
        """Yield the views of all images; they share the images' memory."""
        for image in self.images:
            for x1, y1, x2, y2 in self.in_tiles.tiling.views_of(size_of(image)):
                yield image[y1:y2, x1:x2]

    def gathered(self, parts: Sequence[Future[list[Detections]]]) -> Future[list[Detections]]:
        """Return the future of the images' detections, by the futures of all their views.

        Cancelled, it cancels those that still wait; the first that fails makes it fail.
        """
        whole: Future[list[Detections]] = Future()
        left, lock = len(parts), threading.Lock()

        def done(part: Future[list[Detections]]) -> None:
            nonlocal left
            with lock:
                left -= 1
                is_last = not left
            if not part.cancelled() and part.exception() is not None:
                _cancel(parts)
            if is_last and whole.set_running_or_notify_cancel():
                self._finish(whole, parts)

        whole.add_done_callback(lambda future: _cancel(parts) if future.cancelled() else None)
        for part in parts:
            part.add_done_callback(done)
        return whole

    def _finish(self, whole: Future[list[Detections]], parts: Sequence[Future[list[Detections]]]) -> None:
        errors = (part.exception() for part in parts if not part.cancelled())
        error = next((error for error in errors if error is not None), None)
        if error is not None:
            whole.set_exception(error)
            return
        try:
            whole.set_result(self._joined([part.result()[0] for part in parts]))
        except Exception as exc:  # of this request alone: the queue's thread has others to serve
            whole.set_exception(exc)

    def _joined(self, found: Sequence[Detections]) -> list[Detections]:
        answers, start = [], 0
        for image in self.images:
            size, tiling = size_of(image), self.in_tiles.tiling
            end = start + len(tiling.views_of(size))
            answers.append(
                joined(
                    size,
                    tiling,
                    found[start:end],
                    nms_threshold=self.limits.nms_threshold,
                    max_regions=self.most_regions,
                )
            )
            start = end
        return answers


def _cancel(parts: Sequence[Future[list[Detections]]]) -> None:
    for part in parts:
        part.cancel()
