"""Images prepared for the smart tools: made once for all who ask, kept within a bound of bytes.

The bound is the machine's own `ENCODING_CACHE_BYTES` for one web process. Each further web process keeps
its own memory and prepares an image again when it meets it (one decoding and one run of the detector); the
downloaded file is shared on disk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Protocol


class Sized(Protocol):
    """What the cache keeps."""

    @property
    def bytes_held(self) -> int:
        """Most memory this value may come to take."""


class EncodingCache:
    """The last used encodings, shared by all threads; two who ask for the same one wait for one making."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Sized, int]] = OrderedDict()
        self._making: dict[Hashable, Future[Sized]] = {}
        self.bytes_held = 0
        self.made = 0

    def get(self, key: Hashable, make: Callable[[], Sized]) -> Sized:
        """Return the encoding of `key`, made by the first who asks.

        An error of `make` goes to everybody who waits for it, and the next caller tries again.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
            future = self._making.get(key)
            is_mine = future is None
            if future is None:
                future = self._making[key] = Future()
        if not is_mine:
            return future.result()
        try:
            value = make()
        except BaseException as exc:
            with self._lock:
                self._making.pop(key, None)
            future.set_exception(exc)
            raise
        with self._lock:
            self._making.pop(key, None)
            self._keep(key, value)
            self.made += 1
        future.set_result(value)
        return value

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept or key in self._making

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, key: Hashable, value: Sized) -> None:
        """Keep a value unless it alone breaks the bound; the ones unused for longest go."""
        size = value.bytes_held
        if size > self._most_bytes:
            return
        while self._kept and self.bytes_held + size > self._most_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self.bytes_held -= freed
        self._kept[key] = (value, size)
        self.bytes_held += size
