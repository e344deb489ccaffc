"""Pictures of a predictor that cuts them pass the queue view by view, and come back as one answer."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.tiling import Tiling
from backend.errors import VersionError
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.work_items import DetectionLimits
from tests.fakes.predictor import FakePredictor
from tests.fakes.tasks import picture

LIMITS = DetectionLimits(0.3, 0.4)
TILING = Tiling(side_px=60, overlap=0.2)


class Bright(FakePredictor):
    """Finds the box of all white pixels of a view, and waits with the first until it is let go."""

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__(labels=("White",))
        self.error = failure
        self.entered, self.opened = threading.Event(), threading.Event()
        self.limits: list[int | None] = []

    def predict(self, images, *, confidence_threshold, nms_threshold, with_masks=True, max_regions=None):
        self.entered.set()
        assert self.opened.wait(5)
        self.batches.append(len(images))
        self.limits.append(max_regions)
        if self.error is not None:
            raise self.error
        return [self._white(image) for image in images]

    def _white(self, image: np.ndarray) -> Detections:
        rows, columns = np.nonzero(image[..., 0] == 255)
        boxes = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else []
        return Detections(
            ImageSize(image.shape[1], image.shape[0]),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(boxes), 0.9, np.float32),
            np.zeros(len(boxes), np.int64),
            (None,) * len(boxes),
        )


def cutting(views: Bright, most_regions: int = 100) -> FakePredictor:
    predictor = FakePredictor(labels=("White",))
    predictor.in_tiles = SimpleNamespace(tiling=TILING, uncut=views, most_regions=most_regions)
    return predictor


def large(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    image = np.zeros((60, 300, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


def test_a_large_picture_goes_view_by_view_and_comes_back_whole():
    views = Bright()
    views.opened.set()
    [found] = BatchingQueue().submit(cutting(views), [large((50, 10, 58, 20))], LIMITS).result(5)
    assert found.size == ImageSize(300, 60)
    np.testing.assert_allclose(found.boxes_xyxy_px, [[50, 10, 58, 20]])
    assert sum(views.batches) == len(TILING.views_of(found.size)) == 6


def test_several_pictures_of_a_request_keep_their_order():
    views = Bright()
    views.opened.set()
    images = [large((5, 5, 9, 9)), picture(30)[:20] * 0, large((200, 5, 209, 9))]
    found = BatchingQueue().submit(cutting(views), images, LIMITS).result(5)
    assert [one.size.width for one in found] == [300, 30, 300]
    assert [one.boxes_xyxy_px[:, 0].tolist() for one in found] == [[5], [], [200]]


def test_a_picture_no_larger_than_a_tile_goes_as_it_always_did():
    views = Bright()
    predictor = cutting(views)
    [found] = BatchingQueue().submit(predictor, [picture(50)], LIMITS).result(5)
    assert found.size.width == 50
    assert predictor.batches == [1] and not views.batches


def test_single_pictures_pass_between_the_views_of_a_long_request():
    batching, views = BatchingQueue(), Bright()
    long = batching.submit(cutting(views), [large()] * 9, LIMITS, is_bulk=True)
    assert views.entered.wait(5)
    other = FakePredictor()
    alone = batching.submit(other, [picture(20)], LIMITS)
    views.opened.set()
    alone.result(5)
    assert not long.done()
    assert len(long.result(5)) == 9


def test_smart_tools_pass_before_the_views_of_a_single_large_picture():
    batching, views = BatchingQueue(), Bright()
    large_one = batching.submit(cutting(views), [large()] * 9, LIMITS)
    assert views.entered.wait(5)
    done_before = batching.call(lambda: large_one.done() or sum(views.batches))
    views.opened.set()
    assert done_before.result(5) <= 8  # the batch that was running
    assert len(large_one.result(5)) == 9


def test_a_request_that_ends_early_takes_its_views_along():
    batching, views = BatchingQueue(), Bright()
    future = batching.submit(cutting(views), [large()] * 40, LIMITS)
    assert views.entered.wait(5)
    assert future.cancel()
    views.opened.set()
    batching.submit(FakePredictor(), [picture()], LIMITS, is_bulk=True).result(5)
    assert sum(views.batches) < 20


def test_a_view_that_fails_fails_its_picture_with_the_reason():
    batching, views = BatchingQueue(), Bright(VersionError("no weights"))
    views.opened.set()
    with pytest.raises(VersionError, match="no weights"):
        batching.submit(cutting(views), [large()], LIMITS).result(5)
    assert len(batching.submit(FakePredictor(), [picture()], LIMITS).result(5)) == 1


def test_a_picture_has_as_many_regions_as_its_labels_call_for():
    views = Bright()
    views.opened.set()
    places = [(x, 10, x + 4, 20) for x in (5, 70, 110, 170, 210, 280)]
    batching = BatchingQueue()
    [found] = batching.submit(cutting(views, most_regions=1200), [large(*places)], LIMITS).result(5)
    assert len(found) == 6
    assert set(views.limits) == {300}  # of one view
    [found] = batching.submit(
        cutting(views), [large(*places)], DetectionLimits(0.3, 0.4, max_regions=2)
    ).result(5)
    assert len(found) == 2
