"""What a web process does by itself, now and then, beside answering: one thread, a few small chores."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

from backend.errors import BackendError, NotFoundError
from backend.service.learning.auto_train import AutoTrainer
from backend.service.predicting.background import request_background_predictions
from backend.service.predicting.pushing import resume_where_label_studio_is_back
from backend.service.projects.events import TASK_EVENTS
from backend.service.services import Services

logger = logging.getLogger(__name__)

TICK_S = 2.0
QUIET_S = 3.0
SWEEP_EVERY_S = 3600.0
KEEP_JOBS_S = 31 * 86_400.0  # a day longer than the records of jobs live
KEEP_WORK_S = 86_400.0
KEEP_DELETED_S = 30 * 86_400.0
PREDICT_EVERY_S = 30.0
RESUME_EVERY_S = 15.0
ENDED = ("finished", "failed", "stopped")
_REQUEST = re.compile(r"jobs/(\d{8}-\d{6})-[0-9a-f]+/")


class Housekeeping:
    """Acts on hints, keeps loaded what serves, and sweeps out what jobs left behind."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._clock = clock
        self._auto_train = AutoTrainer(services)
        self._swept_at = float("-inf")
        self._resumed_at = float("-inf")
        self._predicted_at: dict[str, float] = {}
        self._waiting_for_prediction: set[str] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
            self._thread.start()

    def tick(self) -> None:
        """Do what is due now."""
        for chore in (self._take_hints, self._auto_train.train_where_due, self._predict_new_tasks):
            self._attempt(chore)
        self._attempt(self._load_what_serves)
        if self._clock() - self._resumed_at > RESUME_EVERY_S:
            self._resumed_at = self._clock()
            self._attempt(self._resume_jobs)
        if self._clock() - self._swept_at > SWEEP_EVERY_S:
            self._swept_at = self._clock()
            self._attempt(self._sweep)

    def _run(self) -> None:
        self._attempt(self._services.interactive.warm_up)
        self._attempt(self._services.versions.warm_up)
        self._attempt(self._load_what_was_used_last)
        while True:
            time.sleep(TICK_S)
            self.tick()

    def _attempt(self, chore: Callable[[], object]) -> None:
        try:
            chore()
        except BackendError as exc:
            logger.warning("%s", exc)
        except Exception:  # a chore that fails must not end the others
            logger.exception("housekeeping failed")

    def _take_hints(self) -> None:
        for key, hint in self._services.hints.quiet_since(self._services.now() - QUIET_S).items():
            self._auto_train.take(key, hint)
            if any(action in TASK_EVENTS for action in hint.counts):
                self._waiting_for_prediction.add(key)

    def _predict_new_tasks(self) -> None:
        """Have new tasks predicted where the whole project was: Label Studio no longer asks for them."""
        now = self._clock()
        for key in sorted(self._waiting_for_prediction):
            if now - self._predicted_at.get(key, float("-inf")) < PREDICT_EVERY_S:
                continue
            self._waiting_for_prediction.discard(key)
            if self._services.projects.read(key, "served") is None:
                continue
            self._predicted_at[key] = now
            job_id = request_background_predictions(self._services, key)
            logger.info("project %s: new tasks are predicted by job %s", key, job_id)

    def _resume_jobs(self) -> None:
        for job_id in resume_where_label_studio_is_back(self._services):
            logger.info("job %s: Label Studio answers again, so it goes on", job_id)

    def _load_what_serves(self) -> None:
        """Load a new version for the projects that are in use, before somebody waits for it."""
        loaded = self._services.versions.loaded()
        for key in {key for key, _ in loaded}:
            current = self._services.versions.current(key)
            if current is not None and (key, current) not in loaded:
                self._services.versions.predictor(key)

    def _load_what_was_used_last(self) -> None:
        projects = self._services.projects
        last = max(projects.known(), key=lambda key: projects.connection(key).last_seen, default=None)
        if last is not None:
            self._services.versions.predictor(last)

    def _sweep(self) -> None:
        oldest = self._services.now() - KEEP_JOBS_S
        for path in self._services.documents.list("jobs/"):
            match = _REQUEST.match(path)
            if match is not None:
                moment = datetime.strptime(match[1], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)
                if moment.timestamp() < oldest:
                    self._services.documents.delete(path)
            elif path.endswith("/log.json") and self._is_forgotten(path.split("/")[1]):
                self._services.documents.delete(path)
        self._sweep_work_folders()
        self._sweep_deleted_projects()

    def _sweep_work_folders(self) -> None:
        """Remove the checkpoints of jobs that have ended, a day later."""
        root = self._services.settings.data_dir / "work"
        for folder in root.iterdir() if root.is_dir() else ():
            if self._services.now() - folder.stat().st_mtime < KEEP_WORK_S:
                continue
            if self._has_ended(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        copies = self._services.checkpoints
        if copies is not None:
            for job_id in filter(self._has_ended, copies.job_ids()):
                copies.drop(job_id)

    def _sweep_deleted_projects(self) -> None:
        for key in self._services.projects.known():
            deleted_at = self._services.projects.deleted_at(key)
            if deleted_at is not None and self._services.now() - deleted_at > KEEP_DELETED_S:
                self._services.store.delete_all(key)
                self._services.projects.forget(key)
                logger.info("project %s: its versions are gone, a grace time after its deletion", key)

    def _has_ended(self, job_id: str) -> bool:
        return self._is_forgotten(job_id) or self._services.queue.record(job_id).status in ENDED

    def _is_forgotten(self, job_id: str) -> bool:
        try:
            self._services.queue.record(job_id)
        except NotFoundError:
            return True
        return False
