"""What a running job and its worker say to each other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from backend.errors import NotFoundError, QueueError
from backend.service.jobs.memory import memory_use
from backend.service.jobs.report import JobProgress, JobReport, TrainingJobProgress
from backend.service.ports import JobQueue, JobRecord, Json

logger = logging.getLogger(__name__)

TRAIN = "train"
PREDICT = "predict"
LOOK = "look"
"""A second look at what is annotated."""
ACCEPT = "accept"
"""Counting, accepting or undoing what is right often enough."""
RANK = "rank"
"""Which unlabelled pictures are worth labelling first."""
KINDS_OF_WORKERS = {TRAIN: (TRAIN, LOOK), PREDICT: (PREDICT, ACCEPT, RANK)}
"""What each kind of worker runs, by the name it is started with."""
FINISHED, FAILED, STOPPED, REQUEUE = "finished", "failed", "stopped", "requeue"
_ASK_STOP_EVERY_S = 1.0
_REPORT_EVERY_S = 0.5


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: FINISHED, STOPPED, or REQUEUE (paused, to be taken up again)."""

    status: str
    report: JobReport
    model_version: str | None = None


class Lease(Protocol):
    """The worker's hold on a job."""

    @property
    def pause_requested(self) -> bool:
        """Tell whether the worker was asked to end."""

    def confirm(self) -> None:
        """Raise if another worker has taken the job over."""


class RunningJob:
    """One running job: keeps its progress and report, and shows them whether or not Redis answers.

    Who runs it replaces `progress` (None before it says anything) and `report`, then calls `show`. Not every
    call reaches Redis, and what Redis missed is sent with the next one: a queue that is away for a minute
    must not end a training.
    """

    def __init__(
        self,
        queue: JobQueue,
        record: JobRecord,
        lease: Lease,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record = record
        self.lease = lease
        self.report = JobReport.from_json(record.details)
        self.progress: JobProgress | None = None
        self._queue = queue
        self._clock = clock
        self._reported_at = float("-inf")
        self._asked_at = float("-inf")
        self._stop_mode: str | None = None

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.record.job_id

    def training_progress(self) -> TrainingJobProgress:
        """Return how far the training is; before it says anything, how far an earlier run of it came."""
        if isinstance(self.progress, TrainingJobProgress):
            return self.progress
        return TrainingJobProgress.from_json(self.record.progress)

    def show(self, *, at_once: bool = False) -> None:
        """Send progress and report as they are now; at_once: even if that was done a moment ago."""
        if not at_once and self._clock() - self._reported_at < _REPORT_EVERY_S:
            return
        self.report = replace(self.report, memory=memory_use())
        shown: Json = {} if self.progress is None else {"progress": self.progress.as_json()}
        try:
            self._queue.update(self.job_id, **shown, details=self.report.as_json())
            self._reported_at = self._clock()
        except QueueError as exc:
            logger.warning("job %s: progress could not be shown: %s", self.job_id, exc)

    def warn(self, message: str) -> None:
        """Add a sentence that the user must see."""
        logger.warning("job %s: %s", self.job_id, message)
        if message not in self.report.warnings:
            self.report = replace(self.report, warnings=(*self.report.warnings, message))
        self.show(at_once=True)

    def stop_mode(self) -> str | None:
        """Return "keep" or "discard" once the user asked to stop."""
        if self._stop_mode is None and self._clock() - self._asked_at >= _ASK_STOP_EVERY_S:
            self._asked_at = self._clock()
            try:
                self._stop_mode = self._queue.stop_mode(self.job_id)
            except (QueueError, NotFoundError) as exc:
                logger.debug("job %s: cannot ask whether to stop: %s", self.job_id, exc)
        return self._stop_mode

    def stop_or_pause(self) -> str | None:
        """Return "keep", "discard", "pause" (the worker is asked to end), or None."""
        return "pause" if self.lease.pause_requested else self.stop_mode()
