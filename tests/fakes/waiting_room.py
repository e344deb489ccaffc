"""The WaitingRoom port without other processes."""

from __future__ import annotations

import contextlib


class FakeWaitingRoom:
    """The WaitingRoom port: counts who is in, and says what `empty_s` says."""

    def __init__(self) -> None:
        self.inside = 0
        self.empty_s = 100.0

    @contextlib.contextmanager
    def entered(self):
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def seconds_empty(self) -> float:
        return 0.0 if self.inside else self.empty_s
