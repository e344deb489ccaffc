"""What predicts a project by more than its labeling config, in which no trained version serves yet."""

from __future__ import annotations

from typing import Protocol

from backend.core.labelstudio.label_config import LabelConfig
from backend.service.engine.image_predictor import ImagePredictor


class StandIn(Protocol):
    """Predicts where nothing was trained; `backend.service.by_example` has one. Threads share it."""

    def version(self, project_key: str) -> str | None:
        """Return the name that its predictions carry now, None where it has none; takes seconds at most."""

    def hint(self, project_key: str) -> None:
        """Take note that annotations may have changed; returns at once."""

    def described(self, project_key: str) -> str | None:
        """Return in a few words what predictions come from, None where there are none; asks nobody."""

    def is_own(self, version: str) -> bool:
        """Tell whether predictions of that name are, or were, its own."""

    def predictor(self, project_key: str, config: LabelConfig) -> ImagePredictor | None:
        """Return what predicts a project now, None where nothing does, or not within some seconds."""

    def awaited_predictor(self, project_key: str, version: str, config: LabelConfig) -> ImagePredictor:
        """Return the predictor of that name, however long it takes; for jobs.

        Raises VersionError where there is none, or none of that name any more.
        """
