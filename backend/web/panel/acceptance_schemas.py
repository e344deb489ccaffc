"""Accepting by precision, as the API shows and takes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backend.web.answer_models import Answer, Body
from backend.web.panel.queries import Query

Precision = Annotated[
    float, Field(ge=0.5, le=0.999, description="How often what is accepted is to be right.")
]


class PrecisionQuery(Query):
    """Which precision is wanted."""

    precision: Precision = 0.95


class PrecisionBody(Body):
    """Which precision is wanted."""

    precision: Precision


class LabelCutoff(Answer):
    """From which score up a label is accepted, and why."""

    label: str
    score: float | None = Field(description="null: no score is high enough.")
    objects: int = Field(description="Found above it in images that the version did not learn from.")
    right: int
    precision: float = Field(description="Expected of others above it.")


class SurveyView(Answer):
    """What would be accepted."""

    made_at: float
    version: str
    is_current: bool = Field(description="false: another version serves by now; count again.")
    held_out_images: int
    tasks: int = Field(description="Without annotation when they were counted.")
    tasks_accepted: int
    tasks_doubtful: int = Field(description="They keep their predictions.")
    tasks_empty: int = Field(description="Nothing was found in them; they are not accepted.")
    regions_accepted: int
    mistakes_expected: float
    labels: list[LabelCutoff]


class BatchView(Answer):
    """What was accepted together."""

    batch_id: str
    made_at: float
    version: str
    precision: float
    state: Literal["accepting", "accepted", "undone"]
    tasks: int
    regions: int
    mistakes_expected: float
    passed_over: int = Field(description="Tasks that somebody annotated meanwhile.")
    kept: int = Field(description="Annotations that undoing left, since somebody had edited them.")


class AcceptanceJob(Answer):
    """The newest count, acceptance or undoing."""

    job_id: str
    status: str
    is_active: bool
    done: int | None
    total: int | None
    error: str | None


class AcceptanceView(Answer):
    """What would be accepted at a precision, and what was."""

    precision: float
    survey: SurveyView | None = Field(description="null before anything was counted.")
    batches: list[BatchView]
    job: AcceptanceJob | None
