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
from backend.service.ports import JobRecord, WorkerState

Json = dict[str, Any]


KINDS = ("train", "look", "predict", "accept", "rank")
UPDATABLE = {"progress", "details", "model_version", "error"}
ENDED = ("finished", "failed", "stopped")


class FakeQueue:
    """The JobQueue port, in a dict; `failure` is raised by every call while it is set."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobRecord] = {}
        self.stop_modes: dict[str, str] = {}
        self._labels_taken: set[str] = set()
        self.failure: Exception | None = None
        self._ids = itertools.count(1)
        self._lock = threading.RLock()

    def enqueue(self, kind: str, project_key: str, payload_path: str, *, alone: bool = False) -> str:
        self._check()
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        with self._lock:
            others = [job for job in self.records(project_key) if job.kind == kind and job.is_active]
            if alone and others:
                raise ConflictError("a job works on that already; wait for its end", job_id=others[0].job_id)
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
            trainings = [job.job_id for job in self._trainings(project_key) if job.status not in ENDED]
            takes_them = [job_id for job_id in trainings if job_id not in self._labels_taken]
            return takes_them[0] if takes_them else self.enqueue("train", project_key, payload_path)

    def labels_taken(self, job_id: str) -> None:
        self.record(job_id)
        self._labels_taken.add(job_id)

    def start(self, job_id: str) -> None:
        """Mark a job as one that a worker runs."""
        self.jobs[job_id] = replace(self.record(job_id), status="started", started_at=time.time())

    def next_waiting(self, kind: str) -> str | None:
        """Return the job that a worker would take next."""
        return next((job.job_id for job in self.jobs.values() if job.kind == kind and self._waits(job)), None)

    def record(self, job_id: str) -> JobRecord:
        self._check()
        if job_id not in self.jobs:
            raise NotFoundError(f"there is no job {job_id!r}")
        return copy.deepcopy(self.jobs[job_id])

    def records(self, project_key: str | None = None, *, limit: int = 1000) -> list[JobRecord]:
        self._check()
        found = [job for job in self.jobs.values() if project_key in (None, job.project_key)]
        newest, older = found[::-1][:limit], found[::-1][limit:]
        return [*newest, *(job for job in older if project_key is not None and job.is_active)]

    def active_training(self, project_key: str) -> JobRecord | None:
        self._check()
        active = [job for job in self._trainings(project_key) if job.status in ("queued", "started")]
        return min(active, key=lambda job: job.status != "started", default=None)

    def update(self, job_id: str, **fields: Any) -> None:
        record = self.record(job_id)
        if unknown := fields.keys() - UPDATABLE:
            raise ValueError(f"{', '.join(sorted(unknown))} cannot be updated")
        fields = copy.deepcopy(fields)
        if "details" in fields:
            fields["details"] = {**record.details, **fields["details"]}
        self.jobs[job_id] = replace(record, **fields)

    def request_stop(self, job_id: str, *, mode: str) -> None:
        if mode not in ("keep", "discard"):
            raise ValueError(f"mode must be keep or discard, got {mode!r}")
        record = self.record(job_id)
        if record.status in ENDED:
            return
        self.stop_modes[job_id] = mode
        if record.status == "queued":
            self.jobs[job_id] = replace(record, status="stopped", ended_at=time.time())

    def resume(self, job_id: str) -> None:
        record = self.record(job_id)
        if record.status == "failed" and record.kind == "predict":
            self.jobs[job_id] = replace(record, status="queued", error=None, ended_at=None)

    def stop_mode(self, job_id: str) -> str | None:
        self._check()
        return self.stop_modes.get(job_id)

    def worker_state(self) -> WorkerState:
        self._check()
        return WorkerState(workers=1, busy=0, waiting=0)

    def queue_lengths(self) -> Mapping[str, int]:
        self._check()
        waiting = [job.kind for job in self.jobs.values() if self._waits(job)]
        return {kind: waiting.count(kind) for kind in KINDS}

    def _waits(self, job: JobRecord) -> bool:
        """Tell whether a worker could take the job now; a follow-up waits for the training before it."""
        if job.status != "queued":
            return False
        active = self.active_training(job.project_key) if job.kind == "train" else None
        return active is None or active.job_id == job.job_id

    def _trainings(self, project_key: str) -> list[JobRecord]:
        return [job for job in self.jobs.values() if job.kind == "train" and job.project_key == project_key]

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
