from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import pytest
import torch

from backend.nn.runtime.threads import CoreStreams, one_thread, run_side_by_side


@pytest.fixture
def four_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_one_thread_for_as_long_as_it_lasts():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="broken"), one_thread():
            raise ValueError("broken")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("pieces", "share"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_pieces_share_the_cores(four_cores, pieces, share):
    def work(piece: int) -> tuple[int, int]:
        return piece, torch.get_num_threads()

    assert run_side_by_side(work, range(pieces), 4) == [(piece, share) for piece in range(pieces)]
    assert torch.get_num_threads() == 4


def test_no_more_threads_than_asked_for(four_cores):
    shares = run_side_by_side(lambda _: torch.get_num_threads(), range(9), 2)
    assert shares == [2] * 9


def test_pieces_run_at_the_same_time(four_cores):
    meeting = threading.Barrier(2, timeout=20)
    assert sorted(run_side_by_side(lambda _: meeting.wait(), "ab", 2)) == [0, 1]


def test_threads_that_start_after_a_failed_piece_have_all_cores(four_cores):
    def work(piece: str) -> str:
        if piece == "b":
            raise ValueError("broken")
        return piece

    with pytest.raises(ValueError, match="broken"):
        run_side_by_side(work, "abc", 3)
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [4]


def test_streams_share_the_cores_and_stay(four_cores):
    streams = CoreStreams(2)
    seen: list[tuple[int, int]] = []
    meeting = threading.Barrier(3, timeout=20)

    def work() -> None:
        seen.append((threading.get_ident(), torch.get_num_threads()))
        meeting.wait()

    for _ in range(2):
        streams.submit(work)
        streams.submit(work)
        meeting.wait()
    assert [cores for _, cores in seen] == [2] * 4
    assert len({thread for thread, _ in seen}) == 2
    assert torch.get_num_threads() == 4


def test_opencv_adds_no_threads_to_streams_that_share_the_cores(four_cores):
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        CoreStreams(1)
        assert cv2.getNumThreads() == 4
        CoreStreams(2)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_threads_that_start_after_the_streams_have_all_cores(four_cores):
    CoreStreams(4)
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [4]


@pytest.mark.parametrize(("device", "most", "count"), [("cpu", 8, 4), ("cpu", 3, 3), ("cuda", 8, 1)])
def test_a_processor_has_a_stream_per_core_and_an_accelerator_one(four_cores, device, most, count):
    assert CoreStreams.for_device(device, most).count == count
