"""A large background prediction in shards: other workers may take them; those left over are taken back.

The job that was asked for does the first shard itself, then whatever no other worker has begun, and ends when
every shard has: it never waits for a worker that does not come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from backend.errors import BackendError, QueueError
from backend.service.jobs import jobs
from backend.service.jobs.jobs import RunningJob
from backend.service.jobs.report import JobReport, PredictionProgress
from backend.service.jobs.requests import JobRequests
from backend.service.ports import JobRecord, Json
from backend.service.predicting.pace import Pace
from backend.service.predicting.requests import BackgroundRequest

logger = logging.getLogger(__name__)

_ALONE_WORKERS = 2  # one that trains and this one


class Shards:
    """The shards of one running job."""

    def __init__(
        self, requests: JobRequests, job: RunningJob, request: BackgroundRequest, pace: Pace
    ) -> None:
        self._pace = pace
        self._requests = requests
        self._queue = requests.queue
        self._job = job
        self._request = request
        self._tasks: dict[str, list[Json]] = {}
        self._reached: dict[str, PredictionProgress] = {}
        self._ended: dict[str, JobReport] = {}
        self.stop(job.report.parts)  # of an earlier run of this job, whose worker died

    @property
    def progress(self) -> PredictionProgress:
        """What all shards together have come to, as of when they were last read."""
        total = PredictionProgress()
        for reached in self._reached.values():
            total = total.plus(reached)
        return total

    @property
    def failed(self) -> list[int]:
        """Tasks that a shard could not predict; a shard names the first of them only."""
        return [task_id for report in self._ended.values() for task_id in report.tasks_without_prediction]

    @property
    def failed_count(self) -> int:
        """How many tasks the shards could not predict."""
        return sum(report.tasks_without_prediction_count or 0 for report in self._ended.values())

    def split(self, tasks: Sequence[Json], label_config: str) -> list[Json]:
        """Queue all but the first shard of the tasks for others; return that."""
        size = self._pace.tasks_per_shard
        if len(tasks) <= 2 * size or self._request.shard_of is not None or not self._has_helpers():
            return list(tasks)
        for shard in (tasks[start : start + size] for start in range(size, len(tasks), size)):
            bare = [{"id": task["id"], "data": task.get("data")} for task in shard]
            request = self._request.shard(bare, label_config, self._job.job_id)
            try:
                job_id = self._requests.submit(jobs.PREDICT, request.project_key, request.as_document())
            except QueueError as exc:
                logger.warning("job %s: the rest is not shared: %s", self._job.job_id, exc)
                handed_over = {task["id"] for shard in self._tasks.values() for task in shard}
                return [task for task in tasks if task["id"] not in handed_over]
            self._tasks[job_id] = bare
            self._job.report = replace(self._job.report, parts=tuple(self._tasks))
        logger.info("job %s: shares its tasks as %d more jobs", self._job.job_id, len(self._tasks))
        return list(tasks[:size])

    def next(self, report: Callable[[], None]) -> list[Json]:
        """Return tasks to do here: a shard that nobody began, or what another worker left undone.

        Empty when every shard is done, or when the job was asked to end meanwhile.
        """
        while self._tasks:
            try:
                left = self._take_back()
            except QueueError as exc:
                logger.warning("job %s: waits for Redis: %s", self._job.job_id, exc)
                left = []
            if left:
                return left
            report()
            if self._job.stop_or_pause() is not None:
                return []
            if self._tasks:
                time.sleep(self._pace.read_shards_every_s)
        return []

    def _take_back(self) -> list[Json]:
        for job_id in reversed(list(self._tasks)):
            record = self._queue.record(job_id)
            if record.status == "queued":
                self._queue.request_stop(job_id, mode="discard")
                record = self._queue.record(job_id)
            self._reached[job_id] = PredictionProgress.from_json(record.progress)
            if not record.is_active:
                left = self._close(record)
                if left:
                    return left
        return []

    def stop(self, job_ids: Sequence[str] | None = None) -> None:
        """Stop the shards that others have."""
        for job_id in list(self._tasks) if job_ids is None else job_ids:
            try:
                self._queue.request_stop(job_id, mode="discard")
            except BackendError as exc:
                logger.warning("job %s: its shard %s could not be stopped: %s", self._job.job_id, job_id, exc)

    def _close(self, record: JobRecord) -> list[Json]:
        tasks = self._tasks.pop(record.job_id)
        if record.status == jobs.FINISHED:
            self._ended[record.job_id] = JobReport.from_json(record.details)
            return []
        # What it did and could not deliver comes back with the rest, and is counted where it is done again.
        reached = self._reached[record.job_id]
        self._reached[record.job_id] = replace(reached, done=reached.pushed, tiles_total=reached.tiles)
        return tasks

    def _has_helpers(self) -> bool:
        try:
            return self._queue.worker_state().workers > _ALONE_WORKERS
        except QueueError:
            return False
