"""The worker's side of the queue: what RQ calls, and the process that waits for it.

RQ forks a child for every job. torch is imported in the parent, so that each child starts at once and shares
that memory; no network runs and no GPU is touched there, because neither survives a fork.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.bootstrap import build_services, redis_url_of
from backend.errors import LabelStudioGone
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.queue.worker import JobEnd, JobLease, QueueWorker, run_next_job
from backend.logs import configure_logging, context
from backend.service.jobs import jobs
from backend.service.jobs.jobs import (
    JobOutcome,
    RunningJob,
)
from backend.service.jobs.log import keep_job_log
from backend.service.learning.train import run_training
from backend.service.ports import JobRecord
from backend.service.predicting.background import run_predictions
from backend.service.services import Services
from backend.service.versions.administration import retire_if_gone
from backend.settings import Settings

logger = logging.getLogger(__name__)

NICENESS = 5  # the web process shares the cores and has somebody waiting
SHARED_IMPORTS = ("backend.nn.detector.predictor", "backend.training.run")
HANDLERS: dict[str, Callable[[Services, RunningJob], JobOutcome]] = {
    jobs.TRAIN: run_training,
    jobs.PREDICT: run_predictions,
}


def run_ticket(kind: str) -> None:
    """Run the next waiting job of a kind; what RQ calls in the child process."""
    settings = Settings.from_env(os.environ)
    services = build_services(settings)
    assert isinstance(services.queue, RqJobQueue)

    def handle(record: JobRecord, lease: JobLease) -> JobEnd:
        context.set({"job": record.job_id, "project": record.project_key})
        with keep_job_log(services.documents, record.job_id):
            outcome = run_job(services, RunningJob(services.queue, record, lease))
        return JobEnd(outcome.status, model_version=outcome.model_version, details=outcome.details)

    run_next_job(services.queue, kind, handle)


def run_job(services: Services, job: RunningJob) -> JobOutcome:
    """Run one job; a project that Label Studio no longer has is taken out of service. Raises BackendError."""
    try:
        return HANDLERS[job.record.kind](services, job)
    except LabelStudioGone:
        retire_if_gone(services, job.record.project_key)
        raise


def work(kinds: Sequence[str]) -> int:
    """Wait for jobs of some kinds and run them until told to end; returns the exit status."""
    settings = Settings.from_env(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    for module in SHARED_IMPORTS:
        importlib.import_module(module)
    _step_back()  # only now: a worker that replaces a dead one has a job waiting
    services = build_services(settings)
    assert isinstance(services.queue, RqJobQueue)
    worker = QueueWorker(kinds, redis_url_of(settings), services.queue)
    logger.info("worker %s waits for %s", worker.name, " and ".join(kinds))
    worker.work(with_scheduler=False)
    return 0


def _step_back() -> None:
    """Let predictions have the cores first.

    Linux divides them among sessions before it looks at niceness, and `serve` starts us in one of our own: so
    the session's weight is lowered as well, where the kernel has such weights.
    """
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
