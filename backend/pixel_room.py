"""How many pixels of decoded pictures are in memory at a time, over all threads of a process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class PixelRoom:
    """Bounds the memory of pictures: they wait until those at work leave room for them.

    One picture alone always has room, however large. Threads share it.
    """

    def __init__(self, most_pixels: int = 48_000_000) -> None:
        self._most_pixels = most_pixels
        self._taken_pixels = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait for room for a picture, and keep it during the block."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._taken_pixels or self._taken_pixels + pixels <= self._most_pixels
            )
            self._taken_pixels += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken_pixels -= pixels
                self._changed.notify_all()
