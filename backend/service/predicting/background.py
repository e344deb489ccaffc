"""Predictions that a worker makes and pushes through Label Studio's API.

Two kinds of request: the tasks that one `/predict` had no time for, and a whole project. Tasks of the first
kind are claimed until the job ends, so that a second click neither queues nor answers them again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import LabelStudioError, LabelStudioGone, VersionError
from backend.service.engine.loaded_versions import Predictor
from backend.service.engine.pipeline import Work, task_id_of
from backend.service.jobs import jobs
from backend.service.jobs.jobs import (
    JobOutcome,
    RunningJob,
)
from backend.service.ports import Json, LabelStudio
from backend.service.predicting.parts import Parts
from backend.service.predicting.pushing import Pushing
from backend.service.projects.parameters import thresholds
from backend.service.projects.projects import project_id
from backend.service.services import Services

logger = logging.getLogger(__name__)

TASKS_AT_ONCE = 64
ACTIVE = ("queued", "started")


def finish_in_background(
    services: Services,
    key: str,
    version: str,
    tasks: Sequence[Mapping[str, Any]],
    label_config: str | None,
    params: Mapping[str, Any],
    login: str | None = None,
    password: str | None = None,
) -> str | None:
    """Queue the tasks that no job has claimed yet; return the job's id, None where none was left."""
    claimed = claimed_tasks(services, key, version)
    bare = [
        {"id": task["id"], "data": task.get("data")}
        for task in tasks
        if task_id_of(task) is not None and task_id_of(task) not in claimed
    ]
    if not bare:
        return None
    wanted = {name: params[name] for name in ("confidence_threshold", "nms_threshold") if name in params}
    document = {
        "kind": jobs.PREDICT,
        "project_key": key,
        "version": version,
        "tasks": bare,
        "label_config": label_config,
        "params": wanted,
        "login": login,
        "password": password,
    }
    job_id = _enqueue(services, key, document)
    logger.info("project %s: %d tasks go on in the background as job %s", key, len(bare), job_id)
    return job_id


def request_background_predictions(
    services: Services, key: str, task_ids: Sequence[int] | None = None
) -> str:
    """Queue the prediction of every task (or of some) that has none of the current version.

    A job for the same that still waits is returned instead of a second one. Raises VersionError before any
    training, QueueError, StoreError.
    """
    version = services.versions.current(key)
    if version is None:
        raise VersionError(f"project {key} has no trained model yet; train it first")
    if task_ids is None:
        for record in services.queue.records(key):
            if record.kind == jobs.PREDICT and record.status == "queued":
                waiting = services.documents.read(record.payload_path) or {}
                if waiting.get("version") == version and waiting.get("tasks") is None:
                    return record.job_id
    document: Json = {
        "kind": jobs.PREDICT,
        "project_key": key,
        "version": version,
        "tasks": None,
        "task_ids": None if task_ids is None else list(task_ids),
        "label_config": None,
        "params": {},
    }
    return _enqueue(services, key, document)


def claimed_tasks(services: Services, key: str, version: str) -> set[int]:
    """Return the ids of tasks that waiting or running jobs will push for this version."""
    claimed: set[int] = set()
    for record in services.queue.records(key):
        if record.kind != jobs.PREDICT or record.status not in ACTIVE:
            continue
        document = services.documents.read(record.payload_path) or {}
        if document.get("version") == version:
            claimed.update(task["id"] for task in document.get("tasks") or ())
    return claimed


def _enqueue(services: Services, key: str, document: Json) -> str:
    path = jobs.write_request(services.documents, document)
    try:
        return services.queue.enqueue(jobs.PREDICT, key, path)
    except Exception:
        services.documents.delete(path)
        raise


def run_predictions(services: Services, job: RunningJob) -> JobOutcome:
    """Predict and push what the job's request names; the worker's half.

    Raises LabelStudioError (what was computed is kept, and the job goes on when Label Studio is back),
    VersionError, LabelConfigError.
    """
    request = jobs.read_request(services.documents, job.record)
    key = str(request["project_key"])
    label_studio = services.label_studio(key)
    pushing = Pushing(services, job, label_studio, key, str(request["version"]))
    try:
        return _predict_and_push(services, job, request, label_studio, pushing)
    except LabelStudioGone:
        raise
    except LabelStudioError as exc:
        wish = job.stop_or_pause()
        if wish not in (None, "pause"):
            return JobOutcome(jobs.STOPPED, details=job.details)
        if "part_of" in request:
            raise  # the job that shared its tasks takes them back
        count = pushing.keep()
        if wish == "pause":
            return JobOutcome(jobs.REQUEUE, details=job.details)
        raise type(exc)(
            f"{exc} Predictions kept: {count}; the job goes on by itself when Label Studio answers again."
        ) from exc


def _predict_and_push(
    services: Services, job: RunningJob, request: Json, label_studio: LabelStudio, pushing: Pushing
) -> JobOutcome:
    key = str(request["project_key"])
    pushing.push_kept()
    predictor = services.versions.predictor(key, request["version"])
    if predictor is None:
        raise VersionError(
            f"version {request['version']} of project {key} is gone; retrieve predictions anew"
        )
    xml = request.get("label_config") or str(label_studio.project(project_id(key))["label_config"])
    config = parse_label_config(xml)
    limits = thresholds(services.projects, key, request.get("params") or {}, config)
    login, password = request.get("login"), request.get("password")
    work = Work(key, config, (), limits, lambda task_id: services.image_access(key, task_id, login, password))
    parts = Parts(services, job, request)
    tasks = parts.share(pushing.unpredicted(_tasks_of(request, label_studio, key)), xml)
    while tasks:
        for start in range(0, len(tasks), TASKS_AT_ONCE):
            chunk = tasks[start : start + TASKS_AT_ONCE]
            for answered in services.pipeline.run(replace(work, tasks=chunk), predictor):
                pushing.take(chunk[answered.position]["id"], answered.prediction)
                if job.stop_or_pause() is not None:
                    break
            if job.stop_or_pause() is not None:
                break
        pushing.push()
        tasks = pushing.still_unpredicted(parts.next(lambda: pushing.show(parts)))
    if (wish := job.stop_or_pause()) is not None:
        parts.stop()
        return JobOutcome(jobs.REQUEUE if wish == "pause" else jobs.STOPPED, predictor.version)
    pushing.show(parts)
    is_whole = request.get("tasks") is None and request.get("task_ids") is None
    if is_whole and not pushing.failed and services.settings.set_model_version:
        _serve_everywhere(services, label_studio, key, predictor)
        job.details["set_model_version"] = predictor.version
    job.report(at_once=True)
    return JobOutcome(jobs.FINISHED, predictor.version, job.details)


def _tasks_of(request: Json, label_studio: LabelStudio, key: str) -> Iterable[Json]:
    if request.get("tasks") is not None:
        return list(request["tasks"])
    tasks = label_studio.iterate_tasks(project_id(key))
    wanted = request.get("task_ids")
    if wanted is None:
        return tasks
    chosen = set(wanted)
    return (task for task in tasks if task["id"] in chosen)


def _serve_everywhere(services: Services, label_studio: LabelStudio, key: str, predictor: Predictor) -> None:
    """Let Label Studio show scores and sample by this version, now that every task has its prediction."""
    if services.versions.current(key) != predictor.version:
        return  # another version was activated meanwhile; its own job will do this
    label_studio.set_model_version(project_id(key), predictor.version)
    services.projects.write(key, "served", {"version": predictor.version})
    logger.info("project %s: Label Studio's model version is now %s", key, predictor.version)
