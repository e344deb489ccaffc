"""What predicts a project in which no trained version serves yet."""

from __future__ import annotations

from abc import ABC, abstractmethod

from backend.core.labelstudio.label_config import LabelConfig
from backend.service.engine.image_predictor import ImagePredictor


class StandIn(ABC):
    """Predicts where nothing was trained. Threads share it.

    `LoadedVersions` asks several in their order: the first that has a version names what serves, and the
    first that has a predictor predicts.
    """

    @abstractmethod
    def version(self, project_key: str) -> str | None:
        """Return the name that its predictions carry now, None where it has none; takes seconds at most."""

    @abstractmethod
    def is_own(self, version: str) -> bool:
        """Tell whether predictions of that name are, or were, its own."""

    @abstractmethod
    def predictor(self, project_key: str, config: LabelConfig) -> ImagePredictor | None:
        """Return what predicts a project now, None where nothing does.

        Raises NotReadyError where a job that waits will have it.
        """

    @abstractmethod
    def awaited_predictor(self, project_key: str, version: str, config: LabelConfig) -> ImagePredictor:
        """Return the predictor of that name, however long it takes; for jobs.

        Raises VersionError where there is none, or none of that name any more.
        """

    def hint(self, project_key: str) -> None:  # noqa: B027 - most learn nothing from annotations
        """Take note that annotations may have changed; returns at once."""

    def described(self, project_key: str) -> str | None:
        """Return in a few words what predictions come from, None where that is no news; asks nobody."""
        return None

    def is_chosen(self, project_key: str, trained: str) -> bool:
        """Tell whether somebody chose it to serve in place of a trained version."""
        return False
