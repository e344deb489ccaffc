"""Predicts tasks that are new in a project whose tasks were all predicted before."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from backend.service.predicting.requests import BackgroundRequests
from backend.service.projects.events import TASK_EVENTS, Hint
from backend.service.projects.projects import Projects

logger = logging.getLogger(__name__)

PREDICT_EVERY_S = 30.0


class NewTasks:
    """Remembers the projects that got tasks; Label Studio no longer asks for their predictions itself."""

    def __init__(
        self,
        projects: Projects,
        background: BackgroundRequests,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._projects = projects
        self._background = background
        self._clock = clock
        self._predicted_at: dict[str, float] = {}
        self._waiting: set[str] = set()

    def take(self, key: str, hint: Hint) -> None:
        """Take what was heard of a project."""
        if any(action in TASK_EVENTS for action in hint.counts):
            self._waiting.add(key)

    def predict_where_due(self) -> None:
        """Queue a background prediction for each project that was heard of, twice a minute at most."""
        now = self._clock()
        for key in sorted(self._waiting):
            if now - self._predicted_at.get(key, float("-inf")) < PREDICT_EVERY_S:
                continue
            self._waiting.discard(key)
            if self._projects.served(key) is None:
                continue
            self._predicted_at[key] = now
            job_id = self._background.predict_project(key)
            logger.info("project %s: new tasks are predicted by job %s", key, job_id)
