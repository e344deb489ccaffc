"""A stand-in for the locks that processes share."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator

from backend.errors import ConflictError


class FakeLocks:
    """The Locks port for the threads of one process; wait_s: for somebody else."""

    def __init__(self, wait_s: float = 10.0) -> None:
        self._wait_s = wait_s
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        lock = self._locks[name]
        if not lock.acquire(timeout=self._wait_s):
            raise ConflictError("somebody else holds it")
        try:
            yield
        finally:
            lock.release()
