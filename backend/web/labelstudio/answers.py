"""What the routes of the wire contract answer, for the description and its tests.

The routes themselves write their answers without these models: a `/predict` may carry masks of many millions
of numbers, and checking each of them would cost more than finding them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from backend.web.answer_models import Answer, Json, LeftOut, Problem, TagLeftAlone

JobStatus = Literal["queued", "started", "finished", "failed", "stopped"]


class Health(Answer):
    """The service is up."""

    status: Literal["UP"]
    model_class: str
    damaged_versions: int = Field(0, description="How many model versions cannot be read; absent if none.")


class ModelVersion(Answer):
    """The version that serves; `not-trained` before any training."""

    model_version: str


class TaskPrediction(Answer):
    """The prediction of one task; `result` in Label Studio's form."""

    result: list[Json]
    score: float | None
    model_version: str


class Predictions(Answer):
    """One entry per task, in order; an empty list where there is no prediction (yet)."""

    results: list[TaskPrediction | list[Json]]


class TrainingQueued(Answer):
    """The training that was queued, or the one that will learn the labels of now."""

    job: str
    status: Literal["ok"] = Field("ok", description="In answers to events only.")


class EventTaken(Answer):
    """Whether the event means something here."""

    status: Literal["ok", "ignored"]


class ParameterUsed(Answer):
    """The value of a parameter, and where it came from."""

    value: Any
    origin: str


class JobState(Answer):
    """A job; times in UTC, ISO 8601. What is not known yet is absent."""

    job: str
    kind: Literal["train", "look", "predict", "accept", "rank"]
    project: str
    job_status: JobStatus
    progress: Json
    model_version: str | None
    error: str | None
    created_at: str | None
    started_at: str | None
    ended_at: str | None
    params: dict[str, ParameterUsed] = Field({}, description="Every parameter of a training.")
    warnings: list[str] = Field([], description="What the user should know.")
    counts: Json = Field({}, description="What was learned from.")
    unusable: Json = Field({}, description="What could not be learned from, by reason.")
    left_alone: list[TagLeftAlone] = Field([], description="Control tags that are not learned.")
    left_out: list[LeftOut] = Field([], description="The same in words, with the next move.")
    disputed_tasks: list[int] = Field([], description="The first tasks on which annotators disagree.")
    disputed_tasks_count: int = 0
    tiles: str = Field("", description="How the images are cut into tiles, and why.")
    metrics: Json = Field({}, description="Scores on held-out images.")
    curve: list[Json] = Field([], description="Loss and scores by epoch.")
    activated: bool = False
    activation_reason: str = ""
    comparison: Json | None = None
    prediction_job: str = ""
    stopped_by: str = ""
    waiting_for: str = ""
    tasks_without_prediction: list[int] = Field([], description="The first of them.")
    tasks_without_prediction_count: int = 0
    set_model_version: str = ""


class VersionNames(Answer):
    """Names of model versions, newest first."""

    versions: list[str]


class IsTraining(Answer):
    """Whether a training of the project is queued or running."""

    is_training: bool


class ConfigAccepted(Answer):
    """The labels that can be learned from the config."""

    valid: Literal[True]
    labels: list[str]
    left_alone: list[TagLeftAlone] = Field(description="Control tags that are not learned, and why.")


class ConfigRefused(Problem):
    """Why the config cannot be used, or why the request could not be read."""

    model_config = ConfigDict(extra="forbid")
    valid: Literal[False] = Field(False, description="Absent where the request itself was not understood.")


class ProjectDeleted(Answer):
    """The project's key, and the jobs that were stopped with it."""

    project: str
    stopped_jobs: list[str]
