from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from backend.core.geometry.instances import ImageSize
from backend.errors import NoMemoryLeft
from backend.service.engine.batching_queue import MOST_LATER_IMAGES, BatchingQueue
from backend.service.engine.work_items import DetectionLimits
from tests.fakes.predictor import FakePredictor
from tests.fakes.tasks import picture

LIMITS = DetectionLimits(0.3, 0.4)


class Gate(FakePredictor):
    """Holds the queue with its first batch until it is opened, so that others have to wait."""

    def __init__(self):
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def predict(self, images, **limits):
        self.entered.set()
        assert self.opened.wait(5)
        return super().predict(images, **limits)


@pytest.fixture
def held():
    batching, gate = BatchingQueue(), Gate()
    first = batching.submit(gate, [picture()], LIMITS)
    assert gate.entered.wait(5)
    yield batching, gate
    gate.opened.set()
    first.result(5)


def test_requests_share_a_batch_of_bounded_size(held):
    batching, gate = held
    predictor = FakePredictor()
    futures = [batching.submit(predictor, [picture(10 + k)], LIMITS) for k in range(20)]
    gate.opened.set()
    for k, future in enumerate(futures):
        [found] = future.result(5)
        assert found.size.width == 10 + k
    assert predictor.batches == [8, 8, 4]


def test_a_slow_predictor_gets_as_few_at_once_as_it_says(held):
    batching, gate = held
    predictor = FakePredictor()
    predictor.most_at_once = 1
    futures = [batching.submit(predictor, [picture()], LIMITS) for _ in range(3)]
    gate.opened.set()
    for future in futures:
        future.result(5)
    assert predictor.batches == [1, 1, 1]


class Shaped(FakePredictor):
    """Takes every image at its own size, and notes the widths of each batch."""

    def __init__(self):
        super().__init__()
        self.widths: list[list[int]] = []

    def input_size(self, image):
        return ImageSize(image.shape[1], image.shape[0])

    def predict(self, images, **limits):
        self.widths.append([image.shape[1] for image in images])
        return super().predict(images, **limits)


def test_images_of_one_input_size_go_together(held):
    batching, gate = held
    predictor = Shaped()
    widths = [30, 20] * 8
    futures = [batching.submit(predictor, [picture(width)], LIMITS, is_bulk=True) for width in widths]
    gate.opened.set()
    assert [future.result(5)[0].size.width for future in futures] == widths
    assert predictor.widths == [[30] * 8, [20] * 8]


def test_fuller_batches_of_long_requests_go_first(held):
    batching, gate = held
    predictor, other = Shaped(), Shaped()
    futures = [
        batching.submit(predictor, [picture(width)], LIMITS, is_bulk=True) for width in (20, 30, 40, 40)
    ]
    futures += [batching.submit(other, [picture(50)], LIMITS, is_bulk=True) for _ in range(3)]
    gate.opened.set()
    for future in futures:
        future.result(5)
    assert predictor.widths == [[40, 40], [20], [30]]
    assert other.widths == [[50] * 3]


def test_a_rare_shape_does_not_wait_for_ever(held):
    batching, gate = held
    predictor = Shaped()
    rare = batching.submit(predictor, [picture(20)], LIMITS, is_bulk=True)
    futures = [
        batching.submit(predictor, [picture(30)], LIMITS, is_bulk=True) for _ in range(MOST_LATER_IMAGES + 2)
    ]
    gate.opened.set()
    for future in (rare, *futures):
        future.result(5)
    assert predictor.widths[0] == [20]


def test_what_is_not_part_of_a_long_request_goes_in_its_turn(held):
    batching, gate = held
    predictor = Shaped()
    futures = [batching.submit(predictor, [picture(width)], LIMITS) for width in (20, 30, 30)]
    gate.opened.set()
    for future in futures:
        future.result(5)
    assert predictor.widths == [[20], [30, 30]]


def test_other_thresholds_or_versions_do_not_share(held):
    batching, gate = held
    one, other = FakePredictor(), FakePredictor()
    futures = [
        batching.submit(one, [picture()], LIMITS),
        batching.submit(one, [picture()], DetectionLimits(0.9, 0.4)),
        batching.submit(other, [picture()], LIMITS),
    ]
    gate.opened.set()
    for future in futures:
        future.result(5)
    assert one.batches == [1, 1]
    assert other.batches == [1]


def test_single_images_pass_long_requests(held):
    batching, gate = held
    done = []
    bulk, single = FakePredictor(), FakePredictor()
    for predictor, is_bulk in ((bulk, True), (single, False)):
        future = batching.submit(predictor, [picture()], LIMITS, is_bulk=is_bulk)
        future.add_done_callback(lambda _, predictor=predictor: done.append(predictor))
        last = future
    gate.opened.set()
    last.result(5)
    batching.call(lambda: None, is_bulk=True).result(5)
    assert done == [single, bulk]


def test_an_error_costs_only_the_request_that_has_it(held):
    batching, gate = held
    predictor = FakePredictor()
    predictor.failure = lambda images: ValueError("odd") if any(i.shape[1] == 7 for i in images) else None
    good = batching.submit(predictor, [picture()], LIMITS)
    bad = batching.submit(predictor, [picture(7)], LIMITS)
    gate.opened.set()
    assert len(good.result(5)) == 1
    with pytest.raises(ValueError, match="odd"):
        bad.result(5)


def test_who_gave_up_is_not_predicted(held):
    batching, gate = held
    predictor = FakePredictor()
    future = batching.submit(predictor, [picture()], LIMITS)
    assert future.cancel()
    gate.opened.set()
    batching.call(lambda: None, is_bulk=True).result(5)
    assert predictor.batches == []


def test_other_work_runs_in_its_turn_and_raises_to_its_caller():
    batching = BatchingQueue()
    assert batching.call(lambda: 7).result(5) == 7

    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        batching.call(fail).result(5)
    assert batching.call(lambda: 8).result(5) == 8


def test_a_network_that_raises_torchs_own_error_is_asked_in_halves():
    predictor = FakePredictor()
    predictor.failure = lambda images: torch.OutOfMemoryError("no memory left") if len(images) > 2 else None
    found = BatchingQueue().submit(predictor, [picture(k) for k in range(10, 18)], LIMITS).result(5)
    assert [each.size.width for each in found] == list(range(10, 18))
    assert predictor.batches == [8, 4, 2, 2, 4, 2, 2]


def test_a_call_that_runs_out_of_memory_is_made_once_more():
    calls = []

    def hungry():
        calls.append(1)
        if len(calls) < 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return "encoded"

    assert BatchingQueue().call(hungry).result(5) == "encoded"


def test_where_no_memory_is_left_the_error_says_what_to_do():
    def hungry(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    predictor = FakePredictor()
    predictor.failure = lambda images: torch.OutOfMemoryError("CUDA out of memory")
    queue = BatchingQueue()
    for waiting in (queue.call(hungry), queue.submit(predictor, [picture(10)], LIMITS)):
        with pytest.raises(NoMemoryLeft, match=r"CUDA out of memory.*DEVICE=cpu"):
            waiting.result(5)


def test_another_error_of_a_call_is_passed_on_as_it_is():
    def broken():
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        BatchingQueue().call(broken).result(5)


class Threads:
    """Two streams, without shares of the cores."""

    count = 2

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.count, "stream")

    def submit(self, work):
        return self.pool.submit(work)


class Watched(FakePredictor):
    """Remembers who computed; pictures 7 wide take until `opened`."""

    def __init__(self):
        super().__init__()
        self.began = time.perf_counter()
        self.threads: list[str] = []
        self.entered, self.opened = threading.Event(), threading.Event()

    def predict(self, images, **limits):
        self.threads.append(threading.current_thread().name)
        if any(image.shape[1] == 7 for image in images):
            self.entered.set()
            assert self.opened.wait(5)
        return super().predict(images, **limits)


@pytest.fixture
def streaming() -> Iterator[tuple[BatchingQueue, Watched]]:
    """A queue of two streams, one of which is held."""
    streams, watched = Threads(), Watched()
    batching = BatchingQueue(lambda: streams)
    gate = Gate()
    alone = batching.submit(
        gate, [picture()], LIMITS
    )  # in the queue's own thread, so that the next two wait together
    assert gate.entered.wait(5)
    held = batching.submit(watched, [picture(7)], LIMITS)
    other = batching.submit(watched, [picture(8)], LIMITS)
    gate.opened.set()
    alone.result(5)
    other.result(5)
    assert watched.entered.wait(5)
    yield batching, watched
    watched.opened.set()
    held.result(5)
    streams.pool.shutdown()


def test_a_stream_that_is_done_does_not_wait_for_the_other(streaming):
    batching, watched = streaming
    for k in range(3):
        assert batching.submit(watched, [picture(20 + k)], LIMITS).result(5)[0].size.width == 20 + k
    assert not watched.opened.is_set()
    assert not batching.is_idle


def test_no_stream_takes_more_than_its_share_of_what_waits():
    streams, gate, predictor = Threads(), Gate(), FakePredictor()
    batching = BatchingQueue(lambda: streams)
    first = batching.submit(gate, [picture()], LIMITS)
    assert gate.entered.wait(5)
    futures = [batching.submit(predictor, [picture(10 + k)], LIMITS, is_bulk=True) for k in range(10)]
    gate.opened.set()
    first.result(5)
    assert [future.result(5)[0].size.width for future in futures] == list(range(10, 20))
    assert sum(predictor.batches) == 10
    assert max(predictor.batches) == 4
    streams.pool.shutdown()


def test_what_comes_alone_has_the_machine_to_itself(streaming):
    batching, watched = streaming
    watched.opened.set()
    while not batching.is_idle:
        time.sleep(0.01)
    batching.submit(watched, [picture()], LIMITS).result(5)
    assert watched.threads[-1] == "batching-queue"
    assert {name.split("_")[0] for name in watched.threads[:-1]} <= {"stream", "batching-queue"}
    assert any(name.startswith("stream") for name in watched.threads)


def test_without_streams_it_goes_on_in_one_thread():
    def fail():
        raise RuntimeError("no such device")

    found = BatchingQueue(fail).submit(FakePredictor(), [picture(12)], LIMITS).result(5)
    assert found[0].size.width == 12


def test_seconds_of_streams_that_run_together_count_once(streaming):
    batching, watched = streaming
    also_held = batching.submit(watched, [picture(7)], LIMITS)
    time.sleep(0.3)
    watched.opened.set()
    also_held.result(5)
    while not batching.is_idle:
        time.sleep(0.01)
    assert 0.3 < batching.seconds_busy < time.perf_counter() - watched.began
    assert batching.images_done == 4
