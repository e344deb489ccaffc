"""What happens in a project right now, gathered once per process however many browsers look.

One thread looks after the projects somebody watches: at jobs, workers and the serving version every second,
at Label Studio's counters every quarter of a minute or after a hint. It ends when nobody watches.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from backend.errors import BackendError
from backend.service.jobs.left_out import explain_left_out
from backend.service.jobs.report import JobReport
from backend.service.jobs.summary import summarize_job
from backend.service.panel.label_totals import LabelTotals
from backend.service.ports import JobQueue, JobRecord, Json
from backend.service.projects.task_index import TaskIndex
from backend.service.versions.models import Models

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LOOK_AT_LABEL_STUDIO_EVERY_S = 15.0
_LINGER_S = 30.0
_FRESH_FOR_S = 1.0
_JOBS_LOOKED_AT = 20


class TooManyWatchers(BackendError):
    """All places for live connections are taken; ask for the state every few seconds instead."""


@dataclass
class _Watched:
    state: Json | None = None
    revision: int = 0
    looked_at: float = 0.0
    looked_at_label_studio: float = float("-inf")
    label_studio: Json = field(default_factory=lambda: {"reachable": None, "problem": None})
    is_hinted: bool = True
    watchers: int = 0


class LiveState:
    """The present state of projects, and who waits for it to change; safe to share between threads."""

    def __init__(
        self,
        *,
        queue: JobQueue,
        models: Models,
        index: TaskIndex,
        totals: LabelTotals,
        most_watchers: int,
        is_leaving: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._models = models
        self._index = index
        self._totals = totals
        self._most_watchers = most_watchers
        self._is_leaving = is_leaving
        self._clock = clock
        self._changed = threading.Condition()
        self._projects: dict[str, _Watched] = {}
        self._watchers = 0
        self._thread: threading.Thread | None = None

    @property
    def is_leaving(self) -> bool:
        """Tell whether the process has been told to leave."""
        return self._is_leaving()

    def state(self, key: str) -> Json:
        """Return the present state with its revision; at most a second old."""
        watched = self._watched(key)
        if watched.state is None or self._clock() - watched.looked_at >= LOOK_EVERY_S:
            self._look(key, watched)
        assert watched.state is not None
        return {"revision": watched.revision, **watched.state}

    def wait(self, key: str, revision: int, timeout_s: float) -> Json | None:
        """Return the state once its revision differs from `revision`, None if it did not within the time.

        Returns early once the process has been told to leave.
        """
        watched = self._watched(key)
        ends_at = time.monotonic() + timeout_s
        is_changed = False
        while not is_changed and not self._is_leaving() and (left := ends_at - time.monotonic()) > 0:
            with self._changed:
                is_changed = self._changed.wait_for(
                    lambda: watched.state is not None and watched.revision != revision,
                    min(left, LOOK_EVERY_S),
                )
        return {"revision": watched.revision, **(watched.state or {})} if is_changed else None

    @contextmanager
    def watching(self, key: str) -> Iterator[None]:
        """Keep the project looked after for as long as this lasts. Raises TooManyWatchers."""
        watched = self._watched(key)
        with self._changed:
            if self._watchers >= self._most_watchers:
                raise TooManyWatchers(
                    f"all {self._most_watchers} live connections of this process are in use; "
                    "ask for the state every few seconds"
                )
            self._watchers += 1
            watched.watchers += 1
            if self._clock() - watched.looked_at_label_studio > _FRESH_FOR_S:
                watched.looked_at_label_studio = float("-inf")  # somebody has just come: look at once
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-state", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._watchers -= 1
                watched.watchers -= 1

    def hint(self, key: str) -> None:
        """Take note that something may have changed in Label Studio; costs nothing until somebody looks."""
        with self._changed:
            if key in self._projects:
                self._projects[key].is_hinted = True

    def _watched(self, key: str) -> _Watched:
        with self._changed:
            if key not in self._projects and len(self._projects) >= 200:
                for idle in [k for k, entry in self._projects.items() if entry.watchers == 0]:
                    del self._projects[idle]
            return self._projects.setdefault(key, _Watched())

    def _run(self) -> None:
        idle_since = self._clock()
        while True:
            with self._changed:
                keys = [key for key, watched in self._projects.items() if watched.watchers]
                if keys:
                    idle_since = self._clock()
                elif self._clock() - idle_since > _LINGER_S:
                    self._thread = None
                    return
            for key in keys:
                try:
                    self._look(key, self._watched(key))
                except Exception:  # the process's one thread must outlive whatever one project does to it
                    logger.exception("project %s: looking at its state failed", key)
            time.sleep(LOOK_EVERY_S)

    def _look(self, key: str, watched: _Watched) -> None:
        now = self._clock()
        is_due = now - watched.looked_at_label_studio >= LOOK_AT_LABEL_STUDIO_EVERY_S
        if watched.is_hinted or is_due or self._totals.is_due(key):
            is_hinted, watched.is_hinted = watched.is_hinted, False
            watched.looked_at_label_studio = now
            watched.label_studio = self._look_at_label_studio(key, is_hinted)
        self._index.catch_up(key)
        state = {
            **self._jobs(key),
            "model": self._model(key),
            "statistics": self._totals.known(key),
            "label_studio": watched.label_studio,
            "tasks_revision": self._index.revision(key),
        }
        with self._changed:
            watched.looked_at = now
            if state != watched.state:
                watched.state = state
                watched.revision += 1
                self._changed.notify_all()

    def _look_at_label_studio(self, key: str, is_hinted: bool) -> Json:
        try:
            if self._totals.refresh(key, is_hinted=is_hinted):
                self._index.refresh(key)
        except BackendError as exc:
            return {"reachable": False, "problem": str(exc)}
        return {"reachable": True, "problem": None}

    def _jobs(self, key: str) -> Json:
        try:
            records = self._queue.records(key, limit=_JOBS_LOOKED_AT)
            workers: Json | None = self._queue.worker_state().as_json()
            problem = None
        except BackendError as exc:
            records, workers, problem = [], None, str(exc)
        return {
            "training": _newest(records, "train"),
            "predicting": _newest(records, "predict"),
            "workers": workers,
            "queue_problem": problem,
        }

    def _model(self, key: str) -> Json:
        version = self._models.loaded.current(key)
        if version is None:
            loaded = self._models.loaded
            return {
                "is_trained": False,
                "version": loaded.serving(key),
                "card": None,
                "stand_in": loaded.described_stand_in(key),
            }
        try:
            return {
                "is_trained": True,
                "version": version,
                "card": replace(self._models.store.card(key, version), evaluation=None).as_json(),
            }
        except BackendError as exc:
            return {"is_trained": True, "version": version, "card": None, "problem": str(exc)}


def job_view(record: JobRecord) -> Json:
    """Return a job as the API shows it."""
    view: dict[str, Any] = asdict(record)
    del view["payload_path"]
    view["is_active"] = record.is_active
    view["summary"] = summarize_job(record)
    report = JobReport.from_json(record.details)
    view["left_out"] = explain_left_out(report.unusable or {}, report.left_out_where)
    return view


def _newest(records: list[JobRecord], kind: str) -> Json | None:
    """Return the running job of a kind, else the waiting one, else the newest that ended."""
    of_kind = [record for record in records if record.kind == kind]
    for status in ("started", "queued"):
        for record in of_kind:
            if record.status == status:
                return job_view(record)
    return job_view(of_kind[0]) if of_kind else None
