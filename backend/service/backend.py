"""What the doors of the service call, in one value that `backend.bootstrap` makes.

It is for the doors alone: a use case takes the few of these values that it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from backend.core.labelstudio.label_config import LabelConfig
from backend.service.acceptance.desk import AcceptanceDesk
from backend.service.engine.engine import Engine
from backend.service.engine.named_network import NetworkState
from backend.service.jobs.requests import JobRequests
from backend.service.label_next.desk import LabelNextDesk
from backend.service.learning.requests import TrainingRequests
from backend.service.ledger.desk import LedgerDesk
from backend.service.ports import ImageAccess, Json
from backend.service.predicting.answer import TaskPredictions
from backend.service.predicting.requests import BackgroundRequests
from backend.service.projects.connections import Connections
from backend.service.projects.events import EventHints
from backend.service.projects.projects import Projects
from backend.service.second_look.desk import SecondLookDesk
from backend.service.upkeep.retirement import Retirement
from backend.service.versions.models import Models
from backend.settings import Settings


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

    def network_state(self) -> NetworkState:
        """Say which network answers now."""


@dataclass(frozen=True)
class Backend:
    """Four narrow values that use cases share, and the use cases themselves.

    connections: to Label Studio. models: the versions. jobs: the queue with its requests. engine: images and
    the network. now: seconds since the epoch.
    """

    settings: Settings
    projects: Projects
    connections: Connections
    models: Models
    jobs: JobRequests
    engine: Engine
    events: EventHints
    predictions: TaskPredictions
    background: BackgroundRequests
    trainings: TrainingRequests
    smart_tools: InteractiveAnswers
    retirement: Retirement
    second_look: SecondLookDesk
    acceptance: AcceptanceDesk
    ledger: LedgerDesk
    label_next: LabelNextDesk
    now: Callable[[], float] = time.time
