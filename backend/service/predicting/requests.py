"""Asking for predictions that a worker makes and pushes through Label Studio's API.

Two kinds of request: the tasks that one `/predict` had no time for, and a whole project. Tasks of the first
kind are claimed until the job ends, so that a second click neither queues nor answers them again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backend.errors import NotFoundError, StoreError, VersionError
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.pipeline import task_id_of
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import ACTIVE, JobRecord, Json
from backend.service.projects.documents import ImageCredentials

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackgroundRequest:
    """What a background prediction was asked to do, as its request document says.

    tasks: bare tasks (`id`, `data`), None for those of the project. task_ids: of these alone, None for all.
    label_config: None for the project's own. params: thresholds. shard_of: the job that shares its tasks.
    """

    project_key: str
    version: str
    tasks: tuple[Json, ...] | None = None
    task_ids: tuple[int, ...] | None = None
    label_config: str | None = None
    params: Json = field(default_factory=dict)
    shard_of: str | None = None

    @property
    def is_whole_project(self) -> bool:
        """Tell whether every task of the project is meant."""
        return self.tasks is None and self.task_ids is None

    def shard(self, tasks: Sequence[Json], label_config: str, shard_of: str) -> BackgroundRequest:
        """Return the request for a shard of its tasks, on behalf of the job that shares them."""
        return replace(self, tasks=tuple(tasks), task_ids=None, label_config=label_config, shard_of=shard_of)

    def as_document(self) -> Json:
        """Return the document that `from_document` reads."""
        document: Json = {
            "kind": jobs.PREDICT,
            "project_key": self.project_key,
            "version": self.version,
            "tasks": None if self.tasks is None else list(self.tasks),
            "task_ids": None if self.task_ids is None else list(self.task_ids),
            "label_config": self.label_config,
            "params": self.params,
        }
        return document if self.shard_of is None else {**document, "part_of": self.shard_of}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> BackgroundRequest:
        """Read a request document. Raises KeyError, TypeError or ValueError where it is something else."""
        tasks, task_ids = document["tasks"], document.get("task_ids")
        xml, shard_of = document["label_config"], document.get("part_of")
        return cls(
            project_key=str(document["project_key"]),
            version=str(document["version"]),
            tasks=None if tasks is None else tuple(tasks),
            task_ids=None if task_ids is None else tuple(int(task_id) for task_id in task_ids),
            label_config=None if xml is None else str(xml),
            params=dict(document["params"]),
            shard_of=None if shard_of is None else str(shard_of),
        )


def with_credentials_of_earlier_releases(
    document: Mapping[str, Any],
) -> tuple[BackgroundRequest, ImageCredentials]:
    """Return the request, and the login and password that release 0.1 wrote beside it."""
    credentials = ImageCredentials(document.get("login"), document.get("password"))
    return BackgroundRequest.from_document(document), credentials


@dataclass(frozen=True)
class BackgroundRequests:
    """Queues predictions; `backend.service.predicting.background` runs them."""

    jobs: JobRequests
    versions: LoadedVersions

    def finish(
        self,
        key: str,
        version: str,
        tasks: Sequence[Mapping[str, Any]],
        label_config: str | None,
        params: Mapping[str, Any],
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
        request = BackgroundRequest(key, version, tuple(bare), label_config=label_config, params=wanted)
        job_id = self.jobs.submit(jobs.PREDICT, key, request.as_document())
        logger.info("project %s: %d tasks go on in the background as job %s", key, len(bare), job_id)
        return job_id

    def predict_project(self, key: str, task_ids: Sequence[int] | None = None) -> str:
        """Queue the prediction of every task (or of some) that has none of the current version.

        A job for the same that still waits is returned instead of a second one. Raises VersionError before
        any training, QueueError, StoreError.
        """
        version = self.versions.serving(key)
        if version is None:
            raise VersionError(f"project {key} has no trained model yet; train it first")
        if task_ids is None:
            for record, waiting in self._requests_of(key, version, ("queued",)):
                if waiting.is_whole_project:
                    return record.job_id
        request = BackgroundRequest(key, version, task_ids=None if task_ids is None else tuple(task_ids))
        return self.jobs.submit(jobs.PREDICT, key, request.as_document())

    def claimed_tasks(self, key: str, version: str) -> set[int]:
        """Return the ids of tasks that waiting or running jobs will push for this version."""
        return {
            task["id"]
            for _, request in self._requests_of(key, version, ACTIVE)
            for task in request.tasks or ()
        }

    def _requests_of(
        self, key: str, version: str, states: Sequence[str]
    ) -> Iterator[tuple[JobRecord, BackgroundRequest]]:
        """Yield the jobs of a version in these states; those whose request is gone claim nothing."""
        for record in self.jobs.queue.records(key):
            if record.kind == jobs.PREDICT and record.status in states:
                try:
                    request = self.jobs.read(record, BackgroundRequest.from_document)
                except (NotFoundError, StoreError) as exc:
                    logger.warning("project %s: %s", key, exc)
                    continue
                if request.version == version:
                    yield record, request
