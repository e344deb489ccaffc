"""Jobs, what happens in a project now, and the checks of its connection, as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from backend.training.parameters import TrainingParams
from backend.web.answer_models import Answer, Body, Json, LeftOut


class TrainProjectBody(Body):
    """Parameters of this training alone; what is absent comes from the saved values."""

    params: Annotated[Json, WithJsonSchema(TrainingParams.schema())] = Field(
        default_factory=dict, description="Any of the parameters listed by the settings."
    )


class JobCreated(Answer):
    """The job that was queued."""

    job: str


class StopJobBody(Body):
    """How to end a job."""

    mode: Literal["keep", "discard"] = Field(
        "discard", description="keep: publish what it has learned so far."
    )


class Job(Answer):
    """One job; times are seconds since the epoch."""

    job_id: str
    kind: str
    project_key: str
    status: Literal["queued", "started", "finished", "failed", "stopped"]
    is_active: bool
    progress: Json
    model_version: str | None
    error: str | None
    details: Json
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    summary: str | None = Field(description="How it ended, in a sentence.")
    left_out: list[LeftOut] = Field(description="What a training left out, most frequent first.")


class JobList(Answer):
    """Known jobs of a project, newest first."""

    jobs: list[Job]


class JobLog(Answer):
    """What was logged while a job ran, oldest first."""

    lines: list[str]


class LabelCount(Answer):
    """Objects of one label."""

    label: str
    color: str | None
    in_config: bool
    shapes: int = Field(description="Geometric: rectangles, ellipses, polygons.")
    painted: int = Field(description="Brush regions.")


class AnswerCount(Answer):
    """Images of which one thing is said."""

    control: str = Field(description="The control tag that asks.")
    answer: str = Field(description="A choice, or a path of them parted by slashes.")
    images: int


class AttributeCount(Answer):
    """Regions of which one thing is said."""

    control: str = Field(description="The control tag that asks.")
    answer: str = Field(description="A choice, a path, a number of stars, or that there is a number.")
    regions: int


class Statistics(Answer):
    """What the annotations of a project hold."""

    annotated_images: int
    shapes: int
    painted: int
    total: int
    labels: list[LabelCount]
    answers: list[AnswerCount] = Field([], description="What is said about whole images.")
    attributes: list[AttributeCount] = Field([], description="What is said about regions.")


class ModelStatus(Answer):
    """The model that serves. is_trained: false where it needs no training, or there is none.

    stand_in: by which labelled objects predictions are made before any training.
    """

    is_trained: bool
    version: str | None
    card: Json | None
    problem: str | None = None
    stand_in: str | None = None


class Reachability(Answer):
    """Whether Label Studio answered lately; null before it was asked."""

    reachable: bool | None
    problem: str | None


class State(Answer):
    """What happens in a project now; events carry the same body."""

    revision: int
    training: Job | None
    predicting: Job | None
    workers: Json | None
    queue_problem: str | None
    model: ModelStatus
    statistics: Statistics | None
    label_studio: Reachability
    tasks_revision: int


class CheckItem(Answer):
    """One of the things a check looks at, such as a label."""

    name: str
    state: Literal["ok", "warning", "failed", "skipped"]
    why: str


class CheckEntry(Answer):
    """One link of the chain."""

    check: str
    title: str
    state: Literal["ok", "warning", "failed", "skipped"]
    found: str
    fix: str | None
    items: list[CheckItem]


class CheckReport(Answer):
    """All links of the chain."""

    checks: list[CheckEntry]
