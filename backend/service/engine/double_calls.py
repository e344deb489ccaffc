"""Two calls for one opened task: Label Studio asks twice at once, and one prediction is to be stored.

The later of two overlapping calls waits for the earlier, and then answers nothing if the earlier brought the
prediction. So does a call that comes while Label Studio may still be storing that answer: it has looked for a
prediction already, and found none. Calls meet within one process; with several web processes two may both be
answered, which costs a second, equal prediction in Label Studio and nothing else.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CallKey = tuple[str, int, str]
"""Project key, task id, version."""

# Label Studio stores an answer after it got it: a later one must not overtake that, nor be stored beside it.
STORING_S = 0.3


@dataclass
class _Call:
    done: threading.Event = field(default_factory=threading.Event)
    has_answered: bool = False
    ended: float = math.inf


@dataclass
class EnteredCall:
    """What a caller is told: `is_answered`, that an overlapping call has brought the prediction already."""

    is_answered: bool
    succeed: Callable[[], None]


class OverlappingCalls:
    """Knows the one-task calls of Label Studio that are being answered, or were a moment ago."""

    def __init__(self, storing_s: float = STORING_S) -> None:
        self._lock = threading.Lock()
        self._running: dict[CallKey, _Call] = {}
        self._storing_s = storing_s

    @contextmanager
    def enter(self, key: CallKey, timeout_s: float) -> Iterator[EnteredCall]:
        """Wait for an overlapping call of the same key, then let this one answer.

        It answers like any other where that call failed, or takes longer than timeout_s.
        """
        until = time.monotonic() + timeout_s
        mine: _Call | None = None
        while mine is None:
            with self._lock:
                self._forget_stored()
                earlier = self._running.get(key)
                if earlier is None:
                    mine = self._running[key] = _Call()
                    break
            if not earlier.done.wait(max(0.0, until - time.monotonic())):
                break
            if earlier.has_answered:
                time.sleep(max(0.0, earlier.ended + self._storing_s - time.monotonic()))
                yield EnteredCall(is_answered=True, succeed=lambda: None)
                return
        call = mine or _Call()

        def succeed() -> None:
            call.has_answered = True

        try:
            yield EnteredCall(is_answered=False, succeed=succeed)
        finally:
            with self._lock:
                call.ended = time.monotonic()
                if self._running.get(key) is call and not call.has_answered:
                    del self._running[key]
            call.done.set()

    def _forget_stored(self) -> None:
        oldest = time.monotonic() - self._storing_s
        for key in [key for key, call in self._running.items() if call.ended <= oldest]:
            del self._running[key]
