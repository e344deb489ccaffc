"""Loads versions before somebody waits for them."""

from __future__ import annotations

from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.projects.projects import Projects


def load_what_serves(versions: LoadedVersions) -> None:
    """Load the new version of each project whose old one is in use."""
    loaded = versions.loaded()
    for key in {key for key, _ in loaded}:
        current = versions.current(key)
        if current is not None and (key, current) not in loaded:
            versions.predictor(key)


def load_what_was_used_last(projects: Projects, versions: LoadedVersions) -> None:
    """Load the version of the project that was heard of last."""
    last = max(projects.known(), key=lambda key: projects.connection(key).last_seen, default=None)
    if last is not None:
        versions.predictor(last)
