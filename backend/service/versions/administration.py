"""Versions listed, and copied to another project."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from backend.errors import VersionError
from backend.service.ports import VersionStore
from backend.service.projects.projects import Projects
from backend.service.versions.models import Models

logger = logging.getLogger(__name__)


def list_versions(projects: Projects, store: VersionStore, project: Any = None) -> list[str]:
    """Return the names of a project's versions, newest first; without a project, those of all.

    Label Studio asks without naming one. A version that another process has just published is among them.
    Raises ProjectKeyError.
    """
    keys = projects.known(fresh=True) if project is None else [projects.canonical(project)]
    present = [key for key in keys if not projects.is_deleted(key, fresh=True)]
    return sorted((listed.card.version for key in present for listed in store.list(key)), reverse=True)


def duplicate_model(projects: Projects, models: Models, source: str, target: str) -> str:
    """Copy the serving version of one project to another, make it serve there, return its name.

    Raises VersionError if the source has none.
    """
    version = models.loaded.current(source)
    if version is None:
        raise VersionError(f"project {source} has no trained model to copy; train it first")
    with tempfile.TemporaryDirectory(prefix="duplicate-") as folder:
        file = models.store.export_file(source, version, Path(folder) / "model.zip")
        copied = models.store.import_file(target, file, activate=True)
    projects.restore(target)
    models.loaded.announce(target)
    logger.info("project %s: has version %s of project %s now, as %s", target, version, source, copied)
    return copied
