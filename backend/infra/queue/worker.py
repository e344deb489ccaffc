"""The worker's half of the queue: RQ's worker with its intervals set, and one job run under a lease."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

import redis
from rq import Worker
from rq.timeouts import JobTimeoutException
from rq.utils import now as rq_now

from backend.child_processes import end_with_parent
from backend.errors import BackendError, QueueError
from backend.infra.queue.rq_queue import LeaseLost, RqJobQueue
from backend.infra.queue.tickets import SERIALIZER, ticket_queue
from backend.service.ports import JobRecord

logger = logging.getLogger(__name__)

Json = dict[str, Any]
RENEWALS_PER_LEASE = 6
RECOVER_EVERY_S = 10
# RQ waits for a ticket this much shorter than its worker TTL; between two waits we look for silent workers.
RQ_DEQUEUE_MARGIN_S = 15
REGISTRIES_EVERY_S = 600
MAX_RECONNECT_WAIT_S = 5.0
PAUSE_LIMIT_S = 20.0
END_RETRY_S = 900.0
EXIT_UNPAUSABLE = 75


@dataclass(frozen=True)
class JobEnd:
    """How a job came out; status "requeue" puts it back, to be gone on with by another worker."""

    status: str  # finished, failed, stopped, requeue
    model_version: str | None = None
    error: str | None = None
    details: Json = field(default_factory=dict)


class JobLease:
    """The right to run one job, kept up from a thread while the job runs.

    stop_mode: what `request_stop` asked ("keep", "discard" or None). pause_requested: this process was told
    to end (SIGTERM), so save a checkpoint and leave. is_lost: another worker has the job, or nobody should.
    """

    def __init__(self, queue: RqJobQueue, record: JobRecord, owner: str) -> None:
        self.owner = owner
        self.stop_mode: str | None = None
        self.pause_requested = False
        self.is_lost = False
        self._queue = queue
        self._job_id = record.job_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name=f"lease-{record.job_id}", daemon=True)

    def confirm(self) -> None:
        """Make sure, before publishing, that the job is still ours; waits while Redis is away.

        Raises LeaseLost, and QueueError after a quarter of an hour.
        """
        _while_redis_is_away(self._renew, f"job {self._job_id} wants to publish")

    def __enter__(self) -> JobLease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=10.0)

    def _renew(self) -> None:
        try:
            self.stop_mode = self._queue.renew(self._job_id, self.owner)
        except LeaseLost:
            self.is_lost = True
            raise

    def _keep_up(self) -> None:
        paused_at: float | None = None
        while not self._ended.wait(self._queue.lease_s / RENEWALS_PER_LEASE):
            try:
                self._renew()
            except LeaseLost:
                logger.error("job %s: another worker has it now, leaving it", self._job_id)
                return
            except QueueError as exc:
                logger.warning("job %s: cannot say that it goes on: %s", self._job_id, exc)
            if self.pause_requested and paused_at is None:
                paused_at = time.monotonic()
            if paused_at is not None and time.monotonic() - paused_at > PAUSE_LIMIT_S:
                logger.error("job %s: did not pause within %g s, giving it up", self._job_id, PAUSE_LIMIT_S)
                os._exit(EXIT_UNPAUSABLE)


def run_next_job(
    queue: RqJobQueue, kind: str, handler: Callable[[JobRecord, JobLease], JobEnd]
) -> str | None:
    """Claim the next job of a kind, run it through `handler`, and record its end.

    Returns the job's id, or None where nothing was queued. A BackendError becomes the job's plain error;
    anything else is logged with its traceback. While Redis is away the end is kept and told later.
    """
    owner = f"{worker_address(os.getpid())}{secrets.token_hex(4)}"
    record = queue.claim_next(kind, owner)
    if record is None:
        return None
    lease = JobLease(queue, record, owner)
    with lease, _pausing_on_sigterm(lease):
        try:
            end = _run_handler(handler, record, lease)
            _tell_end(queue, record.job_id, owner, end)
        except LeaseLost as exc:
            logger.error("%s; what it computed is dropped", exc)
    return record.job_id


def worker_address(pid: int) -> str:
    """Return the part of an owner's name that all jobs of one process share."""
    return f"{socket.gethostname()}:{pid}:"


class QueueWorker(Worker):
    """RQ's worker for tickets of some kinds, which also looks after jobs that others left behind.

    On SIGTERM the running job is asked to pause and the worker leaves when it has.
    """

    max_connection_wait_time = MAX_RECONNECT_WAIT_S
    log_result_lifespan = False

    def __init__(
        self,
        kinds: Sequence[str],
        redis_url: str,
        queue: RqJobQueue,
        *,
        recover_every_s: int = RECOVER_EVERY_S,
    ) -> None:
        connection = redis.Redis.from_url(redis_url, socket_connect_timeout=5.0)
        super().__init__(
            [ticket_queue(connection, kind) for kind in kinds],
            connection=connection,
            serializer=SERIALIZER,
            worker_ttl=recover_every_s + RQ_DEQUEUE_MARGIN_S,
            job_monitoring_interval=recover_every_s,
            maintenance_interval=recover_every_s,
            log_job_description=False,
        )
        self._jobs = queue
        self._registries_cleaned_at = float("-inf")

    def run_maintenance_tasks(self) -> None:
        """Recover abandoned jobs every few seconds, and let RQ tidy its own registries now and then."""
        self._recover()
        if time.monotonic() - self._registries_cleaned_at > REGISTRIES_EVERY_S:
            self._registries_cleaned_at = time.monotonic()
            super().run_maintenance_tasks()
        else:
            self.last_cleaned_at = rq_now()  # type: ignore[assignment]

    def maintain_heartbeats(self, *args: Any, **kwargs: Any) -> None:
        """Tell RQ that the job goes on; a Redis that is away for a while must not end the worker."""
        try:
            super().maintain_heartbeats(*args, **kwargs)
        except redis.RedisError as exc:
            logger.warning("no heartbeat to Redis: %s", exc)
        self._recover()

    def handle_warm_shutdown_request(self) -> None:
        """Pass SIGTERM on to the running job, which pauses at its next chance."""
        super().handle_warm_shutdown_request()
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """Let the job's process be told to pause when this worker dies, so that it is never orphaned."""
        super().setup_work_horse_signals()
        end_with_parent()

    def handle_work_horse_killed(self, job: Any, retpid: int, ret_val: int, rusage: Any) -> None:
        """Queue the job of a killed process again at once; silence would be noticed only after the lease."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)
        try:
            self._jobs.abandon(worker_address(retpid), _describe_exit(ret_val))
        except QueueError as exc:
            logger.warning("the killed job is picked up later: %s", exc)

    def _recover(self) -> None:
        try:
            self._jobs.recover()
        except QueueError as exc:
            logger.warning("cannot look for abandoned jobs: %s", exc)


def _describe_exit(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = ", perhaps out of memory" if number == signal.SIGKILL else ""
        return f"killed by signal {number}{hint}"
    return f"exited with status {os.waitstatus_to_exitcode(status)}"


def _run_handler(
    handler: Callable[[JobRecord, JobLease], JobEnd], record: JobRecord, lease: JobLease
) -> JobEnd:
    try:
        return handler(record, lease)
    except LeaseLost:
        raise
    except JobTimeoutException:
        return JobEnd("failed", error="the job ran longer than JOB_TIMEOUT_S allows and was ended")
    except BackendError as exc:
        logger.warning("job %s failed: %s", record.job_id, exc)
        return JobEnd("failed", error=str(exc))
    except Exception as exc:  # a job's mistake must not go unrecorded, whatever it is
        logger.exception("job %s failed unexpectedly", record.job_id)
        return JobEnd(
            "failed", error=f"unexpected {type(exc).__name__}: {exc}; the worker's log has the traceback"
        )


def _tell_end(queue: RqJobQueue, job_id: str, owner: str, end: JobEnd) -> None:
    """Record the end of a job, trying again while Redis is away."""

    def tell() -> None:
        if end.status == "requeue":
            queue.put_back(job_id, owner)
        else:
            queue.end(
                job_id,
                owner,
                status=end.status,
                model_version=end.model_version,
                error=end.error,
                details=end.details,
            )

    _while_redis_is_away(tell, f"job {job_id} is {end.status}")


def _while_redis_is_away(call: Callable[[], None], what: str) -> None:
    """Call until Redis answers. Raises QueueError if it does not come back in a quarter of an hour."""
    deadline, wait_s = time.monotonic() + END_RETRY_S, 0.5
    while True:
        try:
            return call()
        except QueueError as exc:
            if time.monotonic() > deadline:
                raise
            logger.warning("%s, but Redis cannot be told: %s", what, exc)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_RECONNECT_WAIT_S)


@contextlib.contextmanager
def _pausing_on_sigterm(lease: JobLease) -> Iterator[None]:
    """Turn SIGTERM into a request to pause, where this thread may handle signals at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request_pause(number: int, frame: FrameType | None) -> None:
        lease.pause_requested = True

    before = signal.signal(signal.SIGTERM, request_pause)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
