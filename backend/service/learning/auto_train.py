"""Training by itself: after enough changes, once nobody has drawn for a while.

Label Studio's events say that something changed, not what: they come without a password. So they only count,
and before a training is queued the project is read once through the API. A training that finds the labels
as a version knows them already ends there (see `train.run_training`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from backend.errors import BackendError, LabelStudioGone
from backend.service.learning.requests import AUTOMATIC, TrainingRequests
from backend.service.ports import ChangeCounts, Changes
from backend.service.projects.connections import Connections
from backend.service.projects.documents import AutoTrain
from backend.service.projects.events import ANNOTATION_EVENTS, Hint
from backend.service.projects.projects import Projects, project_id
from backend.service.upkeep.retirement import Retirement

logger = logging.getLogger(__name__)

READ_EVERY_S = 60.0
_UPDATES = "ANNOTATION_UPDATED"


class AutoTrainer:
    """Counts changes per project and queues a training when a project's rule is met."""

    def __init__(
        self,
        projects: Projects,
        connections: Connections,
        trainings: TrainingRequests,
        retirement: Retirement,
        changes: ChangeCounts,
        now: Callable[[], float] = time.time,
    ) -> None:
        """now: seconds since the epoch."""
        self._projects = projects
        self._connections = connections
        self._trainings = trainings
        self._retirement = retirement
        self._changes = changes
        self._now = now
        self._read_at: dict[str, float] = {}
        self._unsent: dict[str, Changes] = {}

    def take(self, key: str, hint: Hint) -> None:
        """Take what was heard of a project; `train_where_due` adds it to the count of all processes."""
        heard = {action: count for action, count in hint.counts.items() if action in ANNOTATION_EVENTS}
        if self._projects.settings(key).auto_train is None or not heard:
            return
        changes = Changes(sum(heard.values()), heard.get(_UPDATES, 0), hint.last_heard)
        self._unsent[key] = self._unsent[key].joined(changes) if key in self._unsent else changes

    def train_where_due(self) -> list[str]:
        """Queue a training for each project whose rule is met; returns their job ids."""
        self._send()
        started = []
        for key in self._projects.known():
            rule = self._projects.settings(key).auto_train
            changes = self._changes.read(key) if rule is not None else None
            if rule is None or changes is None or not self._is_due(key, rule, changes):
                continue
            try:
                job_id = self._train(key, changes)
            except LabelStudioGone:
                self._retirement.delete_if_gone(key)
                continue
            except BackendError as exc:
                logger.warning("project %s: automatic training has to wait: %s", key, exc)
                continue
            if job_id is not None:
                started.append(job_id)
        return started

    def _send(self) -> None:
        for key, changes in list(self._unsent.items()):
            self._changes.add(key, changes)
            del self._unsent[key]

    def _is_due(self, key: str, rule: AutoTrain, changes: Changes) -> bool:
        now = self._now()
        is_quiet = now - changes.last_heard >= rule.quiet_minutes * 60
        was_read = now - self._read_at.get(key, -math.inf) < READ_EVERY_S
        return changes.count >= rule.annotations and is_quiet and not was_read

    def _train(self, key: str, changes: Changes) -> str | None:
        self._read_at[key] = self._now()
        if not self._changes.take(key, changes):
            return None  # another web process acts on them
        try:
            return self._train_if_changed(key, changes)
        except BackendError:
            self._unsent[key] = changes  # to be tried again
            raise

    def _train_if_changed(self, key: str, changes: Changes) -> str | None:
        project = self._connections.label_studio(key).project(project_id(key))
        annotations = project.get("total_annotations_number")
        before = self._projects.annotations_seen(key)
        self._projects.note_annotations_seen(key, annotations)
        if not changes.updates and annotations is not None and annotations == before:
            logger.info("project %s: events came, but its annotations are as they were", key)
            return None
        config = project.get("label_config")
        return self._trainings.request(
            key,
            label_config=config if isinstance(config, str) else None,
            follow_up=True,
            source=AUTOMATIC,
        )
