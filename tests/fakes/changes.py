"""The ChangeCounts port without Redis."""

from __future__ import annotations

import threading

from backend.service.ports import Changes


class FakeChanges:
    """The ChangeCounts port, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Changes] = {}

    def add(self, project_key: str, changes: Changes) -> None:
        """Add what was heard."""
        with self._lock:
            known = self._counts.get(project_key)
            self._counts[project_key] = changes if known is None else known.joined(changes)

    def read(self, project_key: str) -> Changes | None:
        """Return the count, None where nothing was heard."""
        return self._counts.get(project_key)

    def take(self, project_key: str, seen: Changes) -> bool:
        """Take away what was seen; tell whether it was still there."""
        with self._lock:
            known = self._counts.get(project_key)
            if known is None or known.count < seen.count:
                return False
            left = Changes(known.count - seen.count, known.updates - seen.updates, known.last_heard)
            self._counts[project_key] = left
            return True
