"""A worker's hold on a job without a queue."""

from __future__ import annotations


class FakeLease:
    """The worker's hold on a job, never lost unless told so."""

    def __init__(self) -> None:
        self.pause_requested = False
        self.lost: Exception | None = None

    def confirm(self) -> None:
        if self.lost is not None:
            raise self.lost
