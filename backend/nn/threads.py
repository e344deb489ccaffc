"""How many threads a network uses, where torch's own choice (one per core) does harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
