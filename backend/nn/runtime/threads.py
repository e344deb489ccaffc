"""How many threads a network uses, where torch's own choice (all cores at every layer) does harm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import cv2
import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


@contextmanager
def one_thread() -> Iterator[None]:
    """Run small networks on the calling thread alone.

    Threads that share a layer wait for each other after every one. On a busy machine each wait lasts until
    the scheduler has come round: a prompt that takes 0.1 s of one thread was measured at 15 s with two.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_side_by_side(work: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int) -> list[Result]:
    """Return the result of every piece, the pieces shared out over `workers` threads, the cores among those.

    Threads that each compute a piece of their own never wait for each other, while threads that share a
    layer do after every one: whatever else the machine does (decoding the next images) then stops all.
    """
    return list(each_side_by_side(work, pieces, workers))


def each_side_by_side(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int
) -> Iterator[Result]:
    """Yield what `run_side_by_side` returns, in order, and keep no result that was yielded."""
    cores = torch.get_num_threads()
    workers = min(workers, len(pieces))
    if workers < 2:
        yield from map(work, pieces)
        return
    try:
        take_share = partial(torch.set_num_threads, max(1, cores // workers))
        with ThreadPoolExecutor(workers, "piece", initializer=take_share) as pool:
            yield from pool.map(work, pieces)
    finally:
        # What one thread sets, threads that start later begin with.
        torch.set_num_threads(cores)


class CoreStreams:
    """Threads that stay, the cores shared out among them; see `run_side_by_side` for why.

    Threads that stay also keep the memory that they have once touched: new ones would ask the system for it
    again, page by page.
    """

    def __init__(self, count: int) -> None:
        cores = torch.get_num_threads()
        self.count = count
        if count > 1:
            # OpenCV's own threads would wait actively for work that the streams share out already.
            cv2.setNumThreads(1)
        ready = threading.Barrier(count + 1)

        def take_share() -> None:
            torch.set_num_threads(max(1, cores // count))
            # A thread takes over what was set last, by whichever thread, when torch first runs in it: now.
            torch.get_num_threads()
            ready.wait()

        self._pool = ThreadPoolExecutor(count, "stream", initializer=take_share)
        for _ in range(count):
            self._pool.submit(int)
        ready.wait()
        # What one thread sets, threads that start later begin with.
        torch.set_num_threads(cores)

    @classmethod
    def for_device(cls, device: str, most: int) -> CoreStreams:
        """Return a stream per core, `most` at most; one for an accelerator: one batch fills it."""
        return cls(min(torch.get_num_threads(), most) if torch.device(device).type == "cpu" else 1)

    def submit(self, work: Callable[[], None]) -> object:
        """Run the work, which raises nothing, in a thread that is free."""
        return self._pool.submit(work)
