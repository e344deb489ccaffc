"""When Label Studio last told of a project, known to every web process and after a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from backend.errors import StoreError
from backend.service.projects.projects import Projects

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 60.0


class LastEvents:
    """Notes events of Label Studio in the projects' documents; safe to share between threads.

    A burst of events costs one small document a minute, so the moment may lag by as much.
    """

    def __init__(self, projects: Projects, now: Callable[[], float]) -> None:
        """Take where to note, and the clock: seconds since the epoch."""
        self._projects = projects
        self._now = now
        self._lock = threading.Lock()
        self._noted: dict[str, float] = {}

    def note(self, key: str) -> None:
        """Take note that an event of the project came; a store that refuses is logged, never raised."""
        now = self._now()
        with self._lock:
            if 0 <= now - self._noted.get(key, float("-inf")) < WRITE_EVERY_S:
                return
            self._noted[key] = now
        try:
            self._projects.note_event(key, now)
        except StoreError as exc:
            logger.warning("project %s: its last event could not be noted: %s", key, exc)

    def at(self, key: str) -> float | None:
        """Return when any process last heard of the project, None if never. Raises StoreError."""
        return self._projects.last_event(key)
