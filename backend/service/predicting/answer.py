"""Predictions for the tasks of one request, within a time limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.errors import LabelConfigError, NotReadyError, QueueError, StoreError
from backend.service.engine.double_calls import OverlappingCalls
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.pipeline import Pipeline, Work, task_id_of
from backend.service.ports import AfterTask, Json, WaitingRoom
from backend.service.predicting.requests import BackgroundRequests
from backend.service.projects.connections import Connections
from backend.service.projects.documents import ImageCredentials
from backend.service.projects.parameters import Thresholds, thresholds
from backend.service.projects.projects import Projects

logger = logging.getLogger(__name__)

Entry = Json | list[Json]
Rescored = Callable[[str, int | None, Json], Json]
"""Gives a prediction the score that its project chose: project key, id of the task, prediction."""
NOTHING: list[Json] = []


@dataclass(frozen=True)
class PredictRequest:
    """One `/predict` without an interactive context.

    project: as the caller wrote it. params: thresholds; others are ignored. regions_from: the score from
    which regions are wanted, whatever their threshold, by somebody who sorts them out on a screen; answers
    about whole images keep theirs. is_label_studio: the call comes from Label Studio itself, which asks twice
    at once and stores what it gets.
    """

    project: str
    label_config: str | None
    tasks: Sequence[Mapping[str, Any]]
    params: Mapping[str, Any] = field(default_factory=dict)
    regions_from: float | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    is_label_studio: bool = False
    received: float = field(default_factory=time.monotonic)

    @property
    def image_credentials(self) -> ImageCredentials:
        """What came for the host of the project's images."""
        return ImageCredentials(self.login or None, self.password or None)


@dataclass(frozen=True)
class TaskPredictions:
    """Predicts the tasks of requests; every thread may call it.

    after_task: told of each task that was predicted alone. rescored: for what Label Studio stores.
    deadline_s: what is not done by then goes on in the background. deadline_without_api_s: used instead
    if longer, where Label Studio takes no pushes.
    """

    projects: Projects
    connections: Connections
    versions: LoadedVersions
    pipeline: Pipeline
    background: BackgroundRequests
    waiting_room: WaitingRoom
    after_task: AfterTask
    rescored: Rescored
    deadline_s: float
    deadline_without_api_s: float = 90.0
    overlapping: OverlappingCalls = field(default_factory=OverlappingCalls, init=False)

    def predict(self, request: PredictRequest) -> list[Entry]:
        """Return one entry per task, in order: the prediction, or `[]` where there is none (yet).

        Raises RequestError where project, config or thresholds cannot be used.
        """
        key = self.projects.canonical(request.project, request.label_config)
        config = config_of(self.projects, key, request.label_config)
        limits = thresholds(self.projects, key, request.params, config)
        if request.regions_from is not None:
            limits = limits.with_regions_from(request.regions_from, config)
        if not request.tasks:
            return []
        self._remember_credentials(key, request)
        with self.waiting_room.entered():
            entries = self._entries(request, key, config, limits)
        if len(request.tasks) == 1:  # somebody has opened it, and may point at something in it next
            task = request.tasks[0]
            access = self.connections.image_access(key, task_id_of(task), request.image_credentials)
            self.after_task(key, task, config, access)
        return entries

    def _remember_credentials(self, key: str, request: PredictRequest) -> None:
        """Keep the project's credentials for its images, which jobs need too and nobody sends them.

        Label Studio sends them with every call, so its call without any takes the old ones away.
        """
        came = request.image_credentials
        if not came and not request.is_label_studio:
            return
        if came == self.projects.connection(key).image_credentials:
            return
        try:
            self.projects.remember(key, image_credentials=came)
        except StoreError as exc:  # this call can go on with what came
            logger.error("project %s: the credentials of its images could not be kept: %s", key, exc)

    def _entries(
        self,
        request: PredictRequest,
        key: str,
        config: LabelConfig,
        limits: Thresholds,
    ) -> list[Entry]:
        try:
            predictor = self.versions.serving_predictor(key, config)
        except NotReadyError as exc:
            self._hand_over(request, key, exc.version, request.tasks, self.connections.can_push(key))
            return [NOTHING] * len(request.tasks)
        if predictor is None:
            return [NOTHING] * len(request.tasks)
        log_untrained_labels(key, predictor, config)
        work = Work(
            project_key=key,
            config=config,
            tasks=request.tasks,
            thresholds=limits,
            access=lambda task_id: self.connections.image_access(key, task_id, request.image_credentials),
            is_bulk=len(request.tasks) > 1,
        )
        task_id = task_id_of(request.tasks[0])
        if request.is_label_studio and len(request.tasks) == 1 and task_id is not None:
            deadline_s = self.deadline_s
            with self.overlapping.enter((key, task_id, predictor.version), deadline_s) as call:
                if call.is_answered:
                    return [NOTHING]
                entries = self._predict(request, work, predictor)
                if entries[0] != NOTHING:
                    call.succeed()
                return entries
        return self._predict(request, work, predictor)

    def _predict(self, request: PredictRequest, work: Work, predictor: ImagePredictor) -> list[Entry]:
        entries: list[Entry] = [NOTHING] * len(work.tasks)
        positions = self._unclaimed(request, work, predictor.version)
        has_api = self.connections.can_push(work.project_key)
        limit_s = self.deadline_s
        if not has_api:
            limit_s = max(limit_s, self.deadline_without_api_s)
        unclaimed = replace(work, tasks=[work.tasks[position] for position in positions])
        left = set(positions)
        for answered in self.pipeline.run(unclaimed, predictor, deadline=request.received + limit_s):
            position = positions[answered.position]
            left.discard(position)
            if answered.prediction is not None:
                entries[position] = answered.prediction
                if request.is_label_studio:
                    task_id = task_id_of(work.tasks[position])
                    entries[position] = self.rescored(work.project_key, task_id, answered.prediction)
        logger.info(
            "project %s: predicted %d of %d tasks with %s in %.0f ms",
            work.project_key,
            sum(entry != NOTHING for entry in entries),
            len(entries),
            predictor.version,
            (time.monotonic() - request.received) * 1000,
        )
        if left:
            tasks = [work.tasks[position] for position in sorted(left)]
            self._hand_over(request, work.project_key, predictor.version, tasks, has_api)
        return entries

    def _unclaimed(self, request: PredictRequest, work: Work, version: str) -> list[int]:
        """Return the positions to answer now: a background job at work pushes its own, and only it."""
        if not request.is_label_studio or len(work.tasks) == 1:
            return list(range(len(work.tasks)))
        try:
            claimed = self.background.claimed_tasks(work.project_key, version)
        except QueueError:
            return list(range(len(work.tasks)))  # without Redis no job is at work either
        return [position for position, task in enumerate(work.tasks) if task_id_of(task) not in claimed]

    def _hand_over(
        self,
        request: PredictRequest,
        key: str,
        version: str,
        tasks: Sequence[Mapping[str, Any]],
        has_api: bool,
    ) -> None:
        if not has_api:
            logger.warning(
                "project %s: no time left for %d tasks, and no credentials to push them later; set "
                "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or retrieve predictions for fewer tasks at once",
                key,
                len(tasks),
            )
            return
        try:
            self.background.finish(key, version, tasks, request.label_config, request.params)
        except (QueueError, StoreError) as exc:
            logger.error("project %s: %d tasks get no prediction: %s", key, len(tasks), exc)


def config_of(projects: Projects, key: str, label_config: str | None) -> LabelConfig:
    """Return the request's labeling config, or the project's last known one. Raises LabelConfigError."""
    xml = label_config or projects.connection(key).label_config
    if not xml:
        raise LabelConfigError(
            f"no labeling config: send label_config, or connect project {key} first", field="label_config"
        )
    return parse_label_config(xml)


def log_untrained_labels(key: str, predictor: ImagePredictor, config: LabelConfig) -> None:
    """Say which labels of the config the version has not learned."""
    unknown = [label for label in config.labels if label not in predictor.labels]
    if unknown:
        logger.info(
            "project %s: version %s has not been trained on %s", key, predictor.version, ", ".join(unknown)
        )
