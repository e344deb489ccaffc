"""Predictions on their way to Label Studio: in portions, none twice, and kept while it cannot take them.

What could not be pushed stands in a document, kept/<project>/<job>.json, whichever machine computed it. The
job fails saying so; once Label Studio answers again the same job is queued again, pushes that first and goes
on with the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from backend.errors import (
    LabelStudioAuthError,
    LabelStudioError,
    LabelStudioGone,
    NotFoundError,
    StoreError,
)
from backend.service.jobs.jobs import RunningJob
from backend.service.jobs.report import PredictionProgress
from backend.service.jobs.requests import JobRequests
from backend.service.ports import DocumentStore, Json, LabelStudio
from backend.service.predicting.kept import KEPT, KeptPredictions, kept_path
from backend.service.predicting.pace import Pace
from backend.service.predicting.shards import Shards
from backend.service.projects.connections import Connections
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

PUSH_AT_ONCE = 32
_NAMED_FAILURES = 50
_Result = TypeVar("_Result")


class Pushing:
    """Collects the predictions of one job and pushes them in portions; keeps what cannot be delivered."""

    def __init__(
        self,
        documents: DocumentStore,
        job: RunningJob,
        label_studio: LabelStudio,
        key: str,
        version: str,
        shards: Shards,
        pace: Pace,
        now: Callable[[], float],
    ) -> None:
        """documents: where undelivered predictions are kept. now: seconds since the epoch."""
        self._waits_s = pace.push_waits_s
        self._failed: list[int] = []
        self._shards = shards
        self._job = job
        self._documents = documents
        self._now = now
        self._label_studio = label_studio
        self._project_id = project_id(key)
        self._version = version
        self._waiting: list[Json] = []
        self._kept_path = kept_path(key, job.job_id)
        # What is done here, on top of what an earlier run of this job came to.
        before = PredictionProgress.from_json(job.record.progress)
        # Images that it left half done are cut anew.
        self._own = replace(before, tiles_total=before.tiles)

    @property
    def failed_count(self) -> int:
        """How many tasks could not be predicted, here and in the shards."""
        return len(self._failed) + self._shards.failed_count

    def unpredicted(self, tasks: Iterable[Json]) -> list[Json]:
        """Pass on the tasks without a prediction of the version, by id, so that pushes ask for few ids."""
        known = list(tasks) if isinstance(tasks, Sequence) else None
        predicted = self._predicted(None if known is None else [task["id"] for task in known])
        chosen = [task for task in (tasks if known is None else known) if task["id"] not in predicted]
        self._own = replace(self._own, total=self._own.done + len(chosen))
        self.show(at_once=True)
        return sorted(chosen, key=lambda task: int(task["id"]))

    def still_unpredicted(self, tasks: Sequence[Json]) -> list[Json]:
        """Pass on the tasks of a shard that came back and have no prediction of the version yet."""
        if not tasks:
            return []
        predicted = self._predicted([task["id"] for task in tasks])
        return [task for task in tasks if task["id"] not in predicted]

    def show(self, *, at_once: bool = False) -> None:
        """Report what is done here and in the shards, and which tasks could not be predicted."""
        self._job.progress = self._own.plus(self._shards.progress)
        if self.failed_count:
            named = sorted({*self._failed, *self._shards.failed})[:_NAMED_FAILURES]
            self._job.report = replace(
                self._job.report,
                tasks_without_prediction=tuple(named),
                tasks_without_prediction_count=self.failed_count,
            )
        self._job.show(at_once=at_once)

    def take(self, task_id: int, prediction: Json | None) -> None:
        """Take one task's outcome; pushes when enough have come together."""
        self._own = replace(self._own, done=self._own.done + 1)
        if prediction is None:
            self._failed.append(task_id)
        else:
            self._waiting.append({"task": task_id, **prediction})
        if len(self._waiting) >= PUSH_AT_ONCE:
            self.push()
        self.show()

    def count_tiles(self, done: int, known: int) -> None:
        """Take how many more tiles of images that are cut are done here, and how many more are known."""
        own = self._own
        self._own = replace(own, tiles=own.tiles + done, tiles_total=own.tiles_total + known)
        self.show()

    def push(self) -> None:
        """Push what waits, leaving out tasks that got a prediction of this version meanwhile."""
        if not self._waiting:
            return
        predicted = self._predicted([item["task"] for item in self._waiting])
        fresh = [item for item in self._waiting if item["task"] not in predicted]
        if fresh:
            self._retry(lambda: self._label_studio.import_predictions(self._project_id, fresh))
        self._own = replace(self._own, pushed=self._own.pushed + len(self._waiting))
        self._waiting = []
        self.show(at_once=True)

    def push_kept(self) -> None:
        """Push what an earlier run of this job computed and could not deliver."""
        kept = self._kept()
        if kept is not None:
            self._waiting = list(kept.predictions)
            self.push()
            self._documents.delete(self._kept_path)

    def keep(self) -> int:
        """Store what waits until Label Studio can take it; return how many predictions that are."""
        before = self._kept()
        failures = 1 if before is None else before.failures + 1
        kept = KeptPredictions(tuple(self._waiting), self._now(), failures)
        try:
            self._documents.write(self._kept_path, kept.as_document())
        except StoreError as exc:
            logger.error("job %s: %d predictions are lost: %s", self._job.job_id, len(self._waiting), exc)
            return 0
        logger.warning("job %s: kept %d predictions to push later", self._job.job_id, len(self._waiting))
        return len(self._waiting)

    def _kept(self) -> KeptPredictions | None:
        document = self._documents.read(self._kept_path)
        return None if document is None else KeptPredictions.from_document(document)

    def _predicted(self, task_ids: Sequence[int] | None) -> set[int]:
        return self._retry(
            lambda: self._label_studio.predicted_task_ids(self._project_id, self._version, among=task_ids)
        )

    def _retry(self, call: Callable[[], _Result]) -> _Result:
        for wait_s in self._waits_s:
            try:
                return self._done_waiting(call())
            except (LabelStudioAuthError, LabelStudioGone):
                raise
            except LabelStudioError as exc:
                if self._job.stop_or_pause() is not None:
                    raise
                logger.warning("job %s: %s; trying again in %.0f s", self._job.job_id, exc, wait_s)
                self._job.report = replace(self._job.report, waiting_for=str(exc))
                self.show(at_once=True)
                time.sleep(wait_s)
        return self._done_waiting(call())

    def _done_waiting(self, result: _Result) -> _Result:
        if self._job.report.waiting_for:
            self._job.report = replace(self._job.report, waiting_for="")
        return result


def resume_where_label_studio_is_back(jobs: JobRequests, connections: Connections, now: float) -> list[str]:
    """Queue the failed jobs again whose Label Studio can take predictions once more; return their ids.

    Each job is tried 30 s after it failed, then ever more rarely. now: seconds since the epoch. Raises
    StoreError, QueueError.
    """
    resumed = []
    for path in jobs.documents.list(KEPT):
        _, key, name = path.split("/")
        job_id = name.removesuffix(".json")
        document = jobs.documents.read(path)
        try:
            if jobs.queue.record(job_id).status in ("finished", "stopped"):
                raise NotFoundError(f"job {job_id} needs them no more")
            is_due = document is not None and KeptPredictions.from_document(document).is_due(now)
            if is_due and _answers(connections, key):
                jobs.queue.resume(job_id)
                resumed.append(job_id)
        except NotFoundError:
            jobs.documents.delete(path)
    return resumed


def drop_kept(documents: DocumentStore, key: str) -> None:
    """Forget what was kept for a project that is gone."""
    for path in documents.list(f"{KEPT}{key}/"):
        documents.delete(path)


def _answers(connections: Connections, key: str) -> bool:
    try:
        project: dict[str, Any] = connections.label_studio(key).project(project_id(key))
    except LabelStudioGone:
        return True  # the job will find that out, and take the project out of service
    except LabelStudioError as exc:
        logger.info("project %s: its predictions are still kept: %s", key, exc)
        return False
    return bool(project)
