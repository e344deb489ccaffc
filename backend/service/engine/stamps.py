"""Which project may serve another version now, where there is one process."""

from __future__ import annotations

import threading
from collections import Counter


class StampsHere:
    """The stamps of a single process, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamps: Counter[str] = Counter()

    def read(self, project_key: str) -> int:
        """Return the stamp, 0 where there is none yet."""
        return self._stamps[project_key]

    def advance(self, project_key: str) -> None:
        """Change the stamp."""
        with self._lock:
            self._stamps[project_key] += 1
