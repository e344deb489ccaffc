from __future__ import annotations

import threading

import pytest
import torch

from backend.service.lane import Cut, NetworkLane, is_out_of_memory
from tests.fakes import FakePredictor, picture

CUT = Cut(0.3, 0.4)


class Gate(FakePredictor):
    """Holds the lane with its first batch until it is opened, so that others have to wait."""

    def __init__(self):
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def predict(self, images, **limits):
        self.entered.set()
        assert self.opened.wait(5)
        return super().predict(images, **limits)


@pytest.fixture
def held():
    lane, gate = NetworkLane(), Gate()
    first = lane.submit(gate, [picture()], CUT)
    assert gate.entered.wait(5)
    yield lane, gate
    gate.opened.set()
    first.result(5)


def test_requests_share_a_batch_of_bounded_size(held):
    lane, gate = held
    predictor = FakePredictor()
    futures = [lane.submit(predictor, [picture(10 + k)], CUT) for k in range(20)]
    gate.opened.set()
    for k, future in enumerate(futures):
        [found] = future.result(5)
        assert found.size.width == 10 + k
    assert predictor.batches == [8, 8, 4]


def test_images_of_like_proportions_go_together(held):
    lane, gate = held

    class Remembering(FakePredictor):
        def predict(self, images, **limits):
            shapes.append({image.shape[:2] for image in images})
            return super().predict(images, **limits)

    shapes: list[set[tuple[int, int]]] = []
    predictor = Remembering()
    sizes = [(30, 20), (20, 30)] * 8
    futures = [lane.submit(predictor, [picture(*size)], CUT, is_bulk=True) for size in sizes]
    gate.opened.set()
    found = [future.result(5)[0].size for future in futures]
    assert [(size.width, size.height) for size in found] == sizes
    assert [len(together) for together in shapes] == [1, 1]


def test_other_thresholds_or_versions_do_not_share(held):
    lane, gate = held
    one, other = FakePredictor(), FakePredictor()
    futures = [
        lane.submit(one, [picture()], CUT),
        lane.submit(one, [picture()], Cut(0.9, 0.4)),
        lane.submit(other, [picture()], CUT),
    ]
    gate.opened.set()
    for future in futures:
        future.result(5)
    assert one.batches == [1, 1]
    assert other.batches == [1]


def test_single_images_pass_long_requests(held):
    lane, gate = held
    done = []
    bulk, single = FakePredictor(), FakePredictor()
    for predictor, is_bulk in ((bulk, True), (single, False)):
        future = lane.submit(predictor, [picture()], CUT, is_bulk=is_bulk)
        future.add_done_callback(lambda _, predictor=predictor: done.append(predictor))
        last = future
    gate.opened.set()
    last.result(5)
    lane.call(lambda: None, is_bulk=True).result(5)
    assert done == [single, bulk]


def test_an_error_costs_only_the_request_that_has_it(held):
    lane, gate = held
    predictor = FakePredictor()
    predictor.failure = lambda images: ValueError("odd") if any(i.shape[1] == 7 for i in images) else None
    good, bad = lane.submit(predictor, [picture()], CUT), lane.submit(predictor, [picture(7)], CUT)
    gate.opened.set()
    assert len(good.result(5)) == 1
    with pytest.raises(ValueError, match="odd"):
        bad.result(5)


def test_who_gave_up_is_not_predicted(held):
    lane, gate = held
    predictor = FakePredictor()
    future = lane.submit(predictor, [picture()], CUT)
    assert future.cancel()
    gate.opened.set()
    lane.call(lambda: None, is_bulk=True).result(5)
    assert predictor.batches == []


def test_other_work_runs_in_its_turn_and_raises_to_its_caller():
    lane = NetworkLane()
    assert lane.call(lambda: 7).result(5) == 7

    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        lane.call(fail).result(5)
    assert lane.call(lambda: 8).result(5) == 8


def test_a_network_that_raises_torchs_own_error_is_asked_in_halves():
    predictor = FakePredictor()
    predictor.failure = lambda images: torch.OutOfMemoryError("no memory left") if len(images) > 2 else None
    found = NetworkLane().submit(predictor, [picture(k) for k in range(10, 18)], CUT).result(5)
    assert [each.size.width for each in found] == list(range(10, 18))
    assert predictor.batches == [8, 4, 2, 2, 4, 2, 2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_out_of_memory_is_recognised_without_torch(error, expected):
    assert is_out_of_memory(error) is expected
