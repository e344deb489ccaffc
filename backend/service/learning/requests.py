"""Asking for a training that a worker runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.core.labelstudio.label_config import parse_label_config
from backend.nn.detector.backbone_catalog import validate_backbone
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.learning.heads import check_teaches
from backend.service.learning.start import start_card
from backend.service.ports import Json, VersionStore
from backend.service.projects.parameters import training_params
from backend.service.projects.projects import Projects
from backend.training.parameters import CURRENT, SCRATCH

logger = logging.getLogger(__name__)

AUTOMATIC = "automatic"
"""The source of a training that nobody pressed a button for."""


@dataclass(frozen=True)
class TrainRequest:
    """What a training was asked to do, as its request document says.

    tasks: exported tasks as they came, None to fetch them when the training starts. params: those of this
    training alone. requested_at: seconds since the epoch; None from the command line.
    """

    project_key: str
    label_config: str | None
    params: Json = field(default_factory=dict)
    tasks: tuple[Any, ...] | None = None
    source: str = "request"
    requested_at: float | None = None

    def as_document(self) -> Json:
        """Return the document that `from_document` reads."""
        return {
            "kind": jobs.TRAIN,
            "project_key": self.project_key,
            "label_config": self.label_config,
            "params": self.params,
            "tasks": None if self.tasks is None else list(self.tasks),
            "source": self.source,
            "requested_at": self.requested_at,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TrainRequest:
        """Read a request document. Raises KeyError, TypeError or ValueError where it is something else."""
        tasks, xml, asked_at = document["tasks"], document["label_config"], document.get("requested_at")
        return cls(
            project_key=str(document["project_key"]),
            label_config=None if xml is None else str(xml),
            params=dict(document["params"]),
            tasks=None if tasks is None else tuple(tasks),
            source=str(document.get("source", "request")),
            requested_at=None if asked_at is None else float(asked_at),
        )


@dataclass(frozen=True)
class TrainingRequests:
    """Queues trainings; `backend.service.learning.train` runs them. now: seconds since the epoch."""

    projects: Projects
    store: VersionStore
    jobs: JobRequests
    now: Callable[[], float] = time.time

    def request(
        self,
        key: str,
        *,
        label_config: str | None,
        params: Mapping[str, Any] | None = None,
        tasks: Sequence[Mapping[str, Any]] | None = None,
        follow_up: bool = False,
        source: str = "request",
    ) -> str:
        """Queue a training and return its job id.

        tasks: exported tasks; None to fetch them when the training starts. follow_up: for callers that cannot
        be refused (START_TRAINING): nothing is checked here, and while a training runs one more is queued.
        Raises RequestError for what cannot be used, ConflictError while a training of the project is queued
        or running, QueueError, StoreError; nothing stays half-queued.
        """
        params = dict(params or {})
        if not follow_up:
            self._check(key, label_config, params)
        request = TrainRequest(
            key, label_config, params, None if tasks is None else tuple(tasks), source, self.now()
        )
        job_id = self.jobs.submit_training(key, request.as_document(), follow_up=follow_up)
        self.projects.remember(key, label_config=label_config)
        logger.info("project %s: training is queued as job %s (%s)", key, job_id, source)
        return job_id

    def _check(self, key: str, label_config: str | None, params: Json) -> None:
        resolved, _ = training_params(self.projects, key, params)
        validate_backbone(resolved.with_named_backbone().backbone)
        if label_config is not None:
            check_teaches(parse_label_config(label_config), resolved)
        if resolved.start_from not in (SCRATCH, CURRENT):
            start_card(self.store, key, resolved)
