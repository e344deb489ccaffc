"""Values that cost much to make: made once for all who ask, kept up to a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

Start = Callable[[Callable[[], None]], object]
"""Runs some work: at once, or in another thread."""


def run_here(work: Callable[[], None]) -> None:
    """Run work at once, so that who asked has waited for it."""
    work()


def run_in_thread(name: str) -> Start:
    """Return what runs work in a thread of its own, which ends with the process."""
    return lambda work: threading.Thread(target=work, name=name, daemon=True).start()


class SharedCache(Generic[Key, Value]):
    """The first who asks for a key has its value made, the others wait for that, the least used ones go.

    most: how much is kept, counted by size_of; by default the number of values. A value beyond the bound by
    itself is handed out, but not kept. Threads may share the cache.
    """

    def __init__(self, most: int, size_of: Callable[[Value], int] = lambda value: 1) -> None:
        self._most = most
        self._size_of = size_of
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._making: dict[Key, Future[Value]] = {}
        self.size_held = 0

    def ask(self, key: Key, make: Callable[[], Value], start: Start = run_here) -> Future[Value]:
        """Return the value of a key as a future, which is done already if the value is kept.

        start: runs the making that the first who asks causes. An error of `make` goes to all who wait for it,
        and the next one who asks tries again.
        """
        future: Future[Value] = Future()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                future.set_result(self._kept[key][0])
                return future
            if key in self._making:
                return self._making[key]
            self._making[key] = future
        start(lambda: self._make(key, make, future))
        return future

    def kept(self) -> list[tuple[Key, Value]]:
        """Return what is kept, the least recently used first."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._kept.items()]

    def is_kept(self, key: Key) -> bool:
        """Tell whether nobody who asks for a key has to wait."""
        with self._lock:
            return key in self._kept

    def __contains__(self, key: Key) -> bool:
        """Tell whether the value of a key is kept, or being made."""
        with self._lock:
            return key in self._kept or key in self._making

    def __len__(self) -> int:
        return len(self._kept)

    def _make(self, key: Key, make: Callable[[], Value], future: Future[Value]) -> None:
        try:
            value = make()
        except BaseException as exc:  # whoever waits must hear of it, whatever it is
            with self._lock:
                del self._making[key]
            future.set_exception(exc)
            return
        with self._lock:
            del self._making[key]
            self._keep(key, value)
        future.set_result(value)

    def _keep(self, key: Key, value: Value) -> None:
        size = self._size_of(value)
        if size > self._most:
            return
        while self.size_held + size > self._most:
            _, (_, freed) = self._kept.popitem(last=False)
            self.size_held -= freed
        self._kept[key] = (value, size)
        self.size_held += size
