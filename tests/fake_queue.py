"""A stand-in for the queue."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.errors import ConflictError, NotFoundError
from backend.service.ports import JobRecord

Json = dict[str, Any]


class FakeQueue:
    """The JobQueue port, in a dict; `failure` is raised by every call while it is set."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobRecord] = {}
        self.stop_modes: dict[str, str] = {}
        self.failure: Exception | None = None
        self._ids = itertools.count(1)
        self._lock = threading.RLock()

    def enqueue(self, kind: str, project_key: str, payload_path: str) -> str:
        self._check()
        with self._lock:
            job_id = f"{kind}-{next(self._ids)}"
            self.jobs[job_id] = JobRecord(
                job_id, kind, project_key, "queued", created_at=time.time(), payload_path=payload_path
            )
            return job_id

    def enqueue_training(self, project_key: str, payload_path: str, *, follow_up: bool) -> str:
        self._check()
        with self._lock:
            active = self.active_training(project_key)
            if active is None:
                return self.enqueue("train", project_key, payload_path)
            if not follow_up:
                raise ConflictError("a training is under way", job_id=active.job_id)
            waiting = [job for job in self._trainings(project_key) if job.status == "queued"]
            return waiting[0].job_id if waiting else self.enqueue("train", project_key, payload_path)

    def labels_taken(self, job_id: str) -> None:
        self._check()

    def record(self, job_id: str) -> JobRecord:
        self._check()
        if job_id not in self.jobs:
            raise NotFoundError(f"there is no job {job_id!r}")
        return self.jobs[job_id]

    def records(self, project_key: str | None = None, *, limit: int = 1000) -> list[JobRecord]:
        self._check()
        found = [job for job in self.jobs.values() if project_key in (None, job.project_key)]
        return found[::-1][:limit]

    def active_training(self, project_key: str) -> JobRecord | None:
        self._check()
        active = [job for job in self._trainings(project_key) if job.status in ("queued", "started")]
        return min(active, key=lambda job: job.status != "started", default=None)

    def update(self, job_id: str, **fields: Any) -> None:
        self._check()
        record = self.record(job_id)
        if "details" in fields:
            fields["details"] = {**record.details, **copy.deepcopy(fields["details"])}
        self.jobs[job_id] = replace(record, **fields)

    def request_stop(self, job_id: str, *, mode: str) -> None:
        record = self.record(job_id)
        self.stop_modes[job_id] = mode
        if record.status == "queued":
            self.jobs[job_id] = replace(record, status="stopped")

    def resume(self, job_id: str) -> None:
        record = self.record(job_id)
        if record.status == "failed":
            self.jobs[job_id] = replace(record, status="queued", error=None)

    def stop_mode(self, job_id: str) -> str | None:
        self._check()
        return self.stop_modes.get(job_id)

    def worker_state(self) -> Json:
        self._check()
        return {"workers": 1, "busy": 0, "waiting": 0}

    def queue_lengths(self) -> Mapping[str, int]:
        self._check()
        waiting = [job.kind for job in self.jobs.values() if job.status == "queued"]
        return {kind: waiting.count(kind) for kind in ("train", "predict")}

    def _trainings(self, project_key: str) -> list[JobRecord]:
        return [job for job in self.jobs.values() if job.kind == "train" and job.project_key == project_key]

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
