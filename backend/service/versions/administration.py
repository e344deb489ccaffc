"""Versions listed, copied to another project, and taken out of service with their project."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from backend.errors import LabelStudioError, LabelStudioGone, VersionError
from backend.service.ports import Json
from backend.service.predicting.pushing import drop_kept
from backend.service.projects.projects import project_id
from backend.service.services import Services

logger = logging.getLogger(__name__)

ACTIVE = ("queued", "started")


def list_versions(services: Services, project: Any = None) -> list[str]:
    """Return the names of a project's versions, newest first; without a project, those of all.

    Label Studio asks without naming one. Raises ProjectKeyError.
    """
    keys = services.projects.known() if project is None else [services.projects.canonical(project)]
    cards: list[Json] = []
    for key in keys:
        if not services.projects.is_deleted(key):
            cards.extend(services.store.list(key))
    names = sorted((str(card["version"]) for card in cards), reverse=True)
    return names


def duplicate_model(services: Services, source: str, target: str) -> str:
    """Copy the serving version of one project to another, make it serve there, return its name.

    Raises VersionError if the source has none.
    """
    version = services.versions.current(source)
    if version is None:
        raise VersionError(f"project {source} has no trained model to copy; train it first")
    with tempfile.TemporaryDirectory(prefix="duplicate-") as folder:
        file = services.store.export_file(source, version, Path(folder) / "model.zip")
        copied = services.store.import_file(target, file, activate=True)
    services.projects.restore(target)
    services.versions.look_again(target)
    logger.info("project %s: has version %s of project %s now, as %s", target, version, source, copied)
    return copied


def delete_project(services: Services, key: str, *, was_missing: bool = False) -> list[str]:
    """Take a project out of service: stop its jobs, forget its connection, keep its versions for a while.

    was_missing: Label Studio did not find it, so hearing of it again puts it back into service. Returns the
    ids of the jobs that were stopped.
    """
    stopped = stop_jobs(services, key)
    services.projects.mark_deleted(key, was_missing=was_missing)
    services.versions.look_again(key)
    drop_kept(services, key)
    logger.info("project %s: deleted; %d jobs stopped, its versions are kept for now", key, len(stopped))
    return stopped


def retire_if_gone(services: Services, key: str) -> bool:
    """Take a project out of service if Label Studio no longer has it, and tell whether that is so.

    Label Studio sends no notice of a deletion: it shows as a 404 where a job fetches or pushes. That may be
    about a task alone, so the project is asked for by name first.
    """
    try:
        services.label_studio(key).project(project_id(key))
    except LabelStudioGone as exc:
        logger.warning("project %s: %s", key, exc)
        delete_project(services, key, was_missing=True)
        return True
    except LabelStudioError as exc:
        logger.warning("project %s: whether it still exists cannot be told: %s", key, exc)
    return False


def stop_jobs(services: Services, key: str) -> list[str]:
    """Ask every job of a project to end and return their ids."""
    stopped = []
    for record in services.queue.records(key):
        if record.status in ACTIVE:
            services.queue.request_stop(record.job_id, mode="discard")
            stopped.append(record.job_id)
    return stopped
