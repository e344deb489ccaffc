"""Asking for predictions that a worker makes and pushes through Label Studio's API.

Two kinds of request: the tasks that one `/predict` had no time for, and a whole project. Tasks of the first
kind are claimed until the job ends, so that a second click neither queues nor answers them again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import VersionError
from backend.service.engine.loaded_versions import Versions
from backend.service.engine.pipeline import task_id_of
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json

logger = logging.getLogger(__name__)

ACTIVE = ("queued", "started")


@dataclass(frozen=True)
class BackgroundRequests:
    """Queues predictions; `backend.service.predicting.background` runs them."""

    jobs: JobRequests
    versions: Versions

    def finish(
        self,
        key: str,
        version: str,
        tasks: Sequence[Mapping[str, Any]],
        label_config: str | None,
        params: Mapping[str, Any],
        login: str | None = None,
        password: str | None = None,
    ) -> str | None:
        """Queue the tasks that no job has claimed yet; return the job's id, None where none was left."""
        claimed = self.claimed_tasks(key, version)
        bare = [
            {"id": task["id"], "data": task.get("data")}
            for task in tasks
            if task_id_of(task) is not None and task_id_of(task) not in claimed
        ]
        if not bare:
            return None
        wanted = {name: params[name] for name in ("confidence_threshold", "nms_threshold") if name in params}
        document = {
            "kind": jobs.PREDICT,
            "project_key": key,
            "version": version,
            "tasks": bare,
            "label_config": label_config,
            "params": wanted,
            "login": login,
            "password": password,
        }
        job_id = self.jobs.submit(jobs.PREDICT, key, document)
        logger.info("project %s: %d tasks go on in the background as job %s", key, len(bare), job_id)
        return job_id

    def predict_project(self, key: str, task_ids: Sequence[int] | None = None) -> str:
        """Queue the prediction of every task (or of some) that has none of the current version.

        A job for the same that still waits is returned instead of a second one. Raises VersionError before
        any training, QueueError, StoreError.
        """
        version = self.versions.current(key)
        if version is None:
            raise VersionError(f"project {key} has no trained model yet; train it first")
        if task_ids is None:
            for record in self.jobs.queue.records(key):
                if record.kind == jobs.PREDICT and record.status == "queued":
                    waiting = self.jobs.documents.read(record.payload_path) or {}
                    if waiting.get("version") == version and waiting.get("tasks") is None:
                        return record.job_id
        document: Json = {
            "kind": jobs.PREDICT,
            "project_key": key,
            "version": version,
            "tasks": None,
            "task_ids": None if task_ids is None else list(task_ids),
            "label_config": None,
            "params": {},
        }
        return self.jobs.submit(jobs.PREDICT, key, document)

    def claimed_tasks(self, key: str, version: str) -> set[int]:
        """Return the ids of tasks that waiting or running jobs will push for this version."""
        claimed: set[int] = set()
        for record in self.jobs.queue.records(key):
            if record.kind != jobs.PREDICT or record.status not in ACTIVE:
                continue
            document = self.jobs.documents.read(record.payload_path) or {}
            if document.get("version") == version:
                claimed.update(task["id"] for task in document.get("tasks") or ())
        return claimed
