"""Clears away what jobs and deleted projects left behind."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from backend.errors import NotFoundError
from backend.service.jobs.requests import JobRequests
from backend.service.ports import CheckpointStore, VersionStore
from backend.service.projects.projects import Projects

logger = logging.getLogger(__name__)

KEEP_JOBS_S = 31 * 86_400.0  # a day longer than the records of jobs live
KEEP_WORK_S = 86_400.0
KEEP_DELETED_S = 30 * 86_400.0
_REQUEST = re.compile(r"jobs/(\d{8}-\d{6})-[0-9a-f]+/")


@dataclass(frozen=True)
class Sweep:
    """Request documents, logs, checkpoints and versions that nobody needs any more.

    work_dir: one folder per job of this machine. checkpoints: their copies, None where there are none.
    """

    projects: Projects
    jobs: JobRequests
    store: VersionStore
    work_dir: Path
    checkpoints: CheckpointStore | None = None
    now: Callable[[], float] = time.time

    def sweep(self) -> None:
        """Delete what is old enough. Raises StoreError, QueueError; the next time goes on from there."""
        self._sweep_documents()
        self._sweep_work_folders()
        self._sweep_deleted_projects()

    def _sweep_documents(self) -> None:
        documents = self.jobs.documents
        oldest = self.now() - KEEP_JOBS_S
        for path in documents.list("jobs/"):
            match = _REQUEST.match(path)
            if match is not None:
                moment = datetime.strptime(match[1], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)
                if moment.timestamp() < oldest:
                    documents.delete(path)
            elif path.endswith("/log.json") and self._is_forgotten(path.split("/")[1]):
                documents.delete(path)

    def _sweep_work_folders(self) -> None:
        """Remove the checkpoints of jobs that have ended, a day later."""
        for folder in self.work_dir.iterdir() if self.work_dir.is_dir() else ():
            if self.now() - folder.stat().st_mtime < KEEP_WORK_S:
                continue
            if self._has_ended(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        if self.checkpoints is not None:
            for job_id in filter(self._has_ended, self.checkpoints.job_ids()):
                self.checkpoints.drop(job_id)

    def _sweep_deleted_projects(self) -> None:
        for key in self.projects.known():
            deleted_at = self.projects.deleted_at(key)
            if deleted_at is not None and self.now() - deleted_at > KEEP_DELETED_S:
                self.store.delete_all(key)
                self.projects.forget(key)
                logger.info("project %s: its versions are gone, a grace time after its deletion", key)

    def _has_ended(self, job_id: str) -> bool:
        return self._is_forgotten(job_id) or not self.jobs.queue.record(job_id).is_active

    def _is_forgotten(self, job_id: str) -> bool:
        try:
            self.jobs.queue.record(job_id)
        except NotFoundError:
            return True
        return False
