"""What waits for the network: images of a request, or a call that uses the network in another way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, ImageSize
from backend.errors import NoMemoryLeft
from backend.nn.runtime.memory import give_back_device_memory, is_out_of_memory
from backend.service.engine.image_predictor import ImagePredictor

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

RgbImage = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DetectionLimits:
    """What the network keeps: from which score, up to which overlap, and whether masks are wanted.

    max_regions: None for as many as the version's labels call for.
    """

    confidence_threshold: float
    nms_threshold: float
    with_masks: bool = True
    max_regions: int | None = None


@dataclass(frozen=True)
class Place:
    """Where an item stands: single images before those of long requests, then first come, first served.

    is_view: of a large image, whose many views let single images and calls pass.
    """

    is_bulk: bool
    number: int
    is_view: bool = False

    @property
    def order(self) -> tuple[bool, bool, int]:
        """Return what to sort by."""
        return self.is_bulk, self.is_view and not self.is_bulk, self.number


@dataclass(frozen=True)
class BatchKey:
    """What the images of one batch have in common; input_size is the shape that the network sees."""

    predictor: ImagePredictor
    limits: DetectionLimits
    input_size: ImageSize


@dataclass(frozen=True, eq=False)
class ImagesItem:
    """Images of one request, at least one; the future holds one Detections per image, in order."""

    place: Place
    key: BatchKey
    images: Sequence[RgbImage]
    future: Future[list[Detections]]


@dataclass(frozen=True, eq=False)
class CallItem:
    """Another use of the network, such as an encoding for a smart tool; it runs alone."""

    place: Place
    call: Callable[[], Any]
    future: Future[Any]

    def run(self) -> int:
        """Make the call and complete the future; return 0, since no image of a request was predicted."""
        if self.future.set_running_or_notify_cancel():
            try:
                self.future.set_result(_with_memory(self.call))
            except Exception as exc:
                self.future.set_exception(exc)
        return 0


WorkItem = ImagesItem | CallItem


@dataclass(frozen=True)
class Batch:
    """Items of one key that go through the network together."""

    items: tuple[ImagesItem, ...]

    def run(self) -> int:
        """Predict and complete the futures; return how many images were predicted."""
        items = [item for item in self.items if item.future.set_running_or_notify_cancel()]
        if not items:
            return 0
        images = [image for item in items for image in item.images]
        try:
            found = _predict_in_pieces(items[0].key, images)
        except Exception as exc:
            if len(items) == 1:
                items[0].future.set_exception(exc)
                return 0
            logger.warning("a batch of %d requests failed (%s); running each alone", len(items), exc)
            return sum(_run_alone(item) for item in items)
        start = 0
        for item in items:
            item.future.set_result(found[start : start + len(item.images)])
            start += len(item.images)
        return len(images)


def _run_alone(item: ImagesItem) -> int:
    try:
        found = _predict_in_pieces(item.key, list(item.images))
    except Exception as exc:
        item.future.set_exception(exc)
        return 0
    item.future.set_result(found)
    return len(item.images)


def _predict_in_pieces(key: BatchKey, images: list[RgbImage]) -> list[Detections]:
    """Predict, in halves where the memory does not suffice (a training may share the device)."""
    limits = key.limits

    def predict() -> list[Detections]:
        return key.predictor.predict(
            images,
            confidence_threshold=limits.confidence_threshold,
            nms_threshold=limits.nms_threshold,
            with_masks=limits.with_masks,
            max_regions=limits.max_regions,
        )

    if len(images) < 2:
        return _with_memory(predict)
    try:
        return predict()
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc):
            raise
        logger.warning("out of memory with %d images at once; trying halves", len(images))
    middle = len(images) // 2
    return _predict_in_pieces(key, images[:middle]) + _predict_in_pieces(key, images[middle:])


def _with_memory(work: Callable[[], Result]) -> Result:
    """Return what work gives, tried once more with memory given back where it ran out.

    Raises NoMemoryLeft where that does not suffice.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc):
            raise
        logger.warning("out of memory (%s); trying once more", _first_line(exc))
    # Behind the handler: the error held what the work had on the device.
    give_back_device_memory()
    try:
        return work()
    except (RuntimeError, MemoryError) as exc:
        if not is_out_of_memory(exc):
            raise
        reason = _first_line(exc)
    raise NoMemoryLeft(
        f"the device has no memory left for this ({reason}); ask again in a moment. If it stays so, let no "
        "training share the GPU (DEVICE=cpu for one of the two), or train a version with a smaller image_size"
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]
