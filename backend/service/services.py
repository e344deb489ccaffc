"""Everything the service works with, in one value that `backend.bootstrap` makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from backend.core.labelstudio.label_config import LabelConfig
from backend.errors import LabelStudioAuthError
from backend.service.engine.batching_queue import NetworkLane
from backend.service.engine.double_calls import OverlappingCalls
from backend.service.engine.loaded_versions import Versions
from backend.service.engine.pipeline import Pipeline
from backend.service.ports import (
    AfterTask,
    ChangeCounts,
    CheckpointStore,
    DocumentStore,
    ImageAccess,
    ImageSource,
    JobQueue,
    Json,
    LabelStudio,
    VersionStore,
    WaitingRoom,
)
from backend.service.projects.changes import ChangesHere
from backend.service.projects.credentials import Credentials
from backend.service.projects.events import EventHints
from backend.service.projects.projects import Projects
from backend.settings import Settings
from backend.training.inputs import TrainingInputs, TrainingObserver, TrainingOutcome

Train = Callable[[TrainingInputs, TrainingObserver], TrainingOutcome]
Connect = Callable[[str, str], LabelStudio]


class InteractiveAnswers(Protocol):
    """Answers the prompts of smart tools; `backend.service.smart_tools.answers` has the real one."""

    def answer(
        self,
        task: Mapping[str, Any],
        config: LabelConfig,
        context: Mapping[str, Any],
        project_key: str,
        access: ImageAccess,
    ) -> Json:
        """Return `{"result", "score", "model_version"}`, without regions for an unclear prompt."""

    def warm_up(self) -> None:
        """Load what the first answer needs, so that nobody waits for it; takes a second."""


@dataclass(frozen=True)
class Services:
    """The collaborators of every use case.

    connect: makes the API client of a Label Studio from its address and token. train: the learning code,
    imported when first called. after_task: told of each task that was predicted alone.
    checkpoints: None where the workers' own disk is all there is.
    """

    settings: Settings
    documents: DocumentStore
    store: VersionStore
    queue: JobQueue
    images: ImageSource
    projects: Projects
    versions: Versions
    lane: NetworkLane
    pipeline: Pipeline
    connect: Connect
    train: Train
    interactive: InteractiveAnswers
    waiting_room: WaitingRoom
    after_task: AfterTask
    hints: EventHints = field(default_factory=EventHints)
    changes: ChangeCounts = field(default_factory=ChangesHere)
    credentials: Credentials = field(default_factory=Credentials)
    overlapping: OverlappingCalls = field(default_factory=OverlappingCalls)
    now: Callable[[], float] = time.time
    checkpoints: CheckpointStore | None = None

    def label_studio(self, project_key: str) -> LabelStudio:
        """Return the API of the project's Label Studio.

        The settings' address and key come first, then what `/setup` brought. Raises LabelStudioAuthError
        saying which of the two is missing.
        """
        url, token = self._address(project_key)
        if not url:
            raise LabelStudioAuthError(
                f"the address of the Label Studio of project {project_key} is not known; set "
                "LABEL_STUDIO_URL, or connect the model under Settings > Model"
            )
        if not token:
            raise LabelStudioAuthError(
                "there is no key for Label Studio; set LABEL_STUDIO_API_KEY to a personal access token "
                "(Account & Settings in Label Studio)"
            )
        return self.connect(url, token)

    def has_label_studio(self, project_key: str) -> bool:
        """Tell whether there are an address and a key for the project's Label Studio."""
        url, token = self._address(project_key)
        return bool(url and token)

    def image_access(
        self,
        project_key: str,
        task_id: int | None = None,
        login: str | None = None,
        password: str | None = None,
    ) -> ImageAccess:
        """Return what fetching a task's images may need."""
        url, token = self._address(project_key)
        return ImageAccess(hostname=url, token=token, task_id=task_id, login=login, password=password)

    def _address(self, project_key: str) -> tuple[str | None, str | None]:
        connection = self.projects.connection(project_key)
        url = self.settings.label_studio_url or connection.hostname
        return url, self.settings.label_studio_api_key or connection.access_token
