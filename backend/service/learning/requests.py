"""Asking for a training that a worker runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.core.labelstudio.label_config import parse_label_config
from backend.nn.detector.backbone_catalog import validate_backbone
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.learning.start import start_card
from backend.service.ports import Json, VersionStore
from backend.service.projects.parameters import training_params
from backend.service.projects.projects import Projects
from backend.training.parameters import CURRENT, SCRATCH

logger = logging.getLogger(__name__)

AUTOMATIC = "automatic"
"""The source of a training that nobody pressed a button for."""


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
        document = {
            "kind": jobs.TRAIN,
            "project_key": key,
            "label_config": label_config,
            "params": params,
            "tasks": None if tasks is None else list(tasks),
            "source": source,
            "requested_at": self.now(),
        }
        job_id = self.jobs.submit_training(key, document, follow_up=follow_up)
        self.projects.remember(key, label_config=label_config)
        logger.info("project %s: training is queued as job %s (%s)", key, job_id, source)
        return job_id

    def _check(self, key: str, label_config: str | None, params: Json) -> None:
        resolved, _ = training_params(self.projects, key, params)
        validate_backbone(resolved.backbone)
        if label_config is not None:
            parse_label_config(label_config)
        if resolved.start_from not in (SCRATCH, CURRENT):
            start_card(self.store, key, resolved)
