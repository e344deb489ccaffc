"""How many threads a network uses, where torch's own choice (all cores at every layer) does harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

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
    cores = torch.get_num_threads()
    workers = min(workers, len(pieces))
    if workers < 2:
        return [work(piece) for piece in pieces]
    try:
        take_share = partial(torch.set_num_threads, max(1, cores // workers))
        with ThreadPoolExecutor(workers, "piece", initializer=take_share) as pool:
            return list(pool.map(work, pieces))
    finally:
        # What one thread sets, threads that start later begin with.
        torch.set_num_threads(cores)
