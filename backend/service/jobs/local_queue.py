"""A queue of one job that runs here and now, for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from backend.errors import NotFoundError, QueueError
from backend.service.ports import JobRecord, WorkerState

OnUpdate = Callable[[JobRecord], None]


class LocalJob:
    """The JobQueue for a job without Redis; each change of its record is passed on, for a progress bar."""

    def __init__(self, kind: str, project_key: str, payload_path: str, on_update: OnUpdate) -> None:
        now = time.time()
        self.current = JobRecord(
            job_id=f"local-{int(now)}",
            kind=kind,
            project_key=project_key,
            status="started",
            created_at=now,
            started_at=now,
            payload_path=payload_path,
        )
        self.wanted_stop: str | None = None
        self._on_update = on_update

    def record(self, job_id: str) -> JobRecord:
        """Return the job. Raises NotFoundError for any other."""
        if job_id != self.current.job_id:
            raise NotFoundError(f"there is no job {job_id!r}")
        return self.current

    def records(self, project_key: str | None = None, *, limit: int = 1000) -> list[JobRecord]:
        """Return the one job."""
        return [self.current]

    def update(self, job_id: str, **fields: Any) -> None:
        """Change the record."""
        self.current = replace(self.current, **fields)
        self._on_update(self.current)

    def stop_mode(self, job_id: str) -> str | None:
        """Return "keep" or "discard" once the user asked to stop."""
        return self.wanted_stop

    def request_stop(self, job_id: str, *, mode: str) -> None:
        """Ask the job to end."""
        self.wanted_stop = mode

    def labels_taken(self, job_id: str) -> None:
        """Nothing follows a local job."""

    def active_training(self, project_key: str) -> JobRecord | None:
        """Return the one job if it is a training of the project."""
        is_it = self.current.kind == "train" and self.current.project_key == project_key
        return self.current if is_it else None

    def resume(self, job_id: str) -> None:
        """Nothing is queued again: the command line runs a job once."""

    def worker_state(self) -> WorkerState:
        """Return that nobody works but this process."""
        return WorkerState(workers=0, busy=1, waiting=0)

    def queue_lengths(self) -> Mapping[str, int]:
        """Return that nothing waits."""
        return {}

    def enqueue(self, kind: str, project_key: str, payload_path: str, *, alone: bool = False) -> str:
        """Raise QueueError: nothing can wait here."""
        raise QueueError("there is no queue without the service; start it with `labelstudio-backend serve`")

    def enqueue_training(self, project_key: str, payload_path: str, *, follow_up: bool) -> str:
        """Raise QueueError: nothing can wait here."""
        return self.enqueue("train", project_key, payload_path)


class LocalHold:
    """The lease of a job that nobody else can take."""

    pause_requested = False

    def confirm(self) -> None:
        """Never raises."""
