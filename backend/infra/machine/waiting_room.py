"""Whether anybody waits for an answer of any web process of this machine: asked before idle time is used."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class MachineWaitingRoom:
    """A file whose lock the processes share where somebody waits; its time is that of the last answer.

    Where the file cannot be used, this process is all that is known of.
    """

    def __init__(self, path: Path) -> None:
        """Meet at `path`, which is made when it is first needed."""
        self._path = path
        self._lock = threading.Lock()
        self._waiting = 0
        self._last_answer_at = float("-inf")
        self._held: int | None = None

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Count as waiting for as long as this lasts."""
        with self._lock:
            self._waiting += 1
            if self._waiting == 1:
                self._held = self._open()
                if self._held is not None:
                    with contextlib.suppress(OSError):
                        fcntl.flock(self._held, fcntl.LOCK_SH)
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                self._last_answer_at = time.monotonic()
                if self._waiting == 0 and self._held is not None:
                    with contextlib.suppress(OSError):
                        os.utime(self._held)
                    os.close(self._held)
                    self._held = None

    def seconds_empty(self) -> float:
        """Return for how long nobody has waited, 0 while somebody does."""
        with self._lock:
            if self._waiting:
                return 0.0
            here = time.monotonic() - self._last_answer_at
        descriptor = self._open()
        if descriptor is None:
            return here
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return min(here, max(0.0, time.time() - os.fstat(descriptor).st_mtime))
        except BlockingIOError:
            return 0.0
        except OSError:
            return here
        finally:
            os.close(descriptor)

    def _open(self) -> int | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
