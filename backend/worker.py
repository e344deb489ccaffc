"""The worker's side of the queue: what RQ calls, and the process that waits for it.

RQ forks a child for every job. torch is imported in the parent, so that each child starts at once and shares
that memory; no network runs and no GPU is touched there, because neither survives a fork.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from backend.bootstrap.backend import build_backend, redis_url_of
from backend.bootstrap.jobs import JobHandler, build_handlers
from backend.errors import LabelStudioGone
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.queue.worker import JobEnd, JobLease, QueueWorker, run_next_job
from backend.logs import configure_logging, context
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.log import keep_job_log
from backend.service.ports import JobRecord
from backend.service.upkeep.retirement import Retirement
from backend.settings import Settings

logger = logging.getLogger(__name__)

NICENESS = 5  # the web process shares the cores and has somebody waiting
SHARED_IMPORTS = ("backend.nn.detector.predictor", "backend.training.run")


def run_ticket(kind: str) -> None:
    """Run the next waiting job of a kind; what RQ calls in the child process."""
    settings = Settings.from_env(os.environ)
    backend = build_backend(settings)
    queue = backend.jobs.queue
    assert isinstance(queue, RqJobQueue)
    handlers = build_handlers(backend)

    def handle(record: JobRecord, lease: JobLease) -> JobEnd:
        context.set({"job": record.job_id, "project": record.project_key})
        with keep_job_log(backend.jobs.documents, record.job_id):
            outcome = run_job(handlers, backend.retirement, RunningJob(queue, record, lease))
        return JobEnd(outcome.status, model_version=outcome.model_version, details=outcome.report.as_json())

    run_next_job(queue, kind, handle)


def run_job(handlers: Mapping[str, JobHandler], retirement: Retirement, job: RunningJob) -> JobOutcome:
    """Run one job; a project that Label Studio no longer has is taken out of service. Raises BackendError."""
    try:
        return handlers[job.record.kind](job)
    except LabelStudioGone:
        retirement.delete_if_gone(job.record.project_key)
        raise


def work(kinds: Sequence[str]) -> int:
    """Wait for jobs of some kinds and run them until told to end; returns the exit status."""
    settings = Settings.from_env(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    for module in SHARED_IMPORTS:
        importlib.import_module(module)
    _step_back()  # only now: a worker that replaces a dead one has a job waiting
    queue = build_backend(settings).jobs.queue
    assert isinstance(queue, RqJobQueue)
    worker = QueueWorker(kinds, redis_url_of(settings), queue)
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
