"""What a web process does by itself, now and then, beside answering: one thread, a few small chores."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.errors import BackendError

logger = logging.getLogger(__name__)

TICK_S = 2.0


@dataclass(frozen=True)
class Chore:
    """Something to do again and again; with every_s at 0, at each tick."""

    run: Callable[[], object]
    every_s: float = 0.0


class Housekeeping:
    """Does the chores of one process; one that fails does not keep the others from being done."""

    def __init__(
        self,
        first: Sequence[Callable[[], object]],
        chores: Sequence[Chore],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """first: done once, when the thread starts."""
        self._first = first
        self._chores = chores
        self._clock = clock
        self._done_at = [float("-inf")] * len(chores)
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin, in a thread that ends with the process or with `stop`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Do no further chore; one that has begun is finished."""
        self._ended.set()

    def tick(self) -> None:
        """Do what is due now."""
        for number, chore in enumerate(self._chores):
            if not chore.every_s or self._clock() - self._done_at[number] > chore.every_s:
                self._done_at[number] = self._clock()
                _attempt(chore.run)

    def _run(self) -> None:
        for work in self._first:
            _attempt(work)
        while not self._ended.wait(TICK_S):
            self.tick()


def _attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except BackendError as exc:
        logger.warning("%s", exc)
    except Exception:  # a chore that fails must not end the others
        logger.exception("housekeeping failed")
