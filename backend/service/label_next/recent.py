"""Values of projects that are read again after a few seconds only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")

FRESH_S = 3.0
"""Other processes see a change after at most that long."""
_MOST_PROJECTS = 16


class Recent(Generic[Value]):
    """What was read or written of each project in the last seconds; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: LRUCache[str, tuple[float, Value]] = LRUCache(_MOST_PROJECTS)

    def get(self, key: str, read: Callable[[], Value]) -> Value:
        """Return what is known of a project, or what `read` returns now."""
        now = self._clock()
        with self._lock:
            known = self._known.get(key)
        if known is not None and now - known[0] < FRESH_S:
            return known[1]
        value = read()
        self.put(key, value)
        return value

    def put(self, key: str, value: Value) -> None:
        """Take what was written just now."""
        with self._lock:
            self._known[key] = (self._clock(), value)
