"""The order in which pictures are best labelled, as the API shows and takes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.web.answer_models import Answer, Body

Score = Literal["usefulness", "quality"]


class SwitchBody(Body):
    """How annotators get their tasks."""

    is_on: bool = Field(
        description="true: the project's sampling in Label Studio becomes uncertainty, and its Data Manager "
        "gets a tab *Label next*. false: the sampling is what it was, and the tab goes."
    )
    score: Score = Field(
        "usefulness",
        description="What the score of a prediction carries. `usefulness`: 1 - usefulness, as Label "
        "Studio hands out the lowest score first. `quality`: how sure the version is. Scores of regions "
        "stay.",
    )


class RankJob(Answer):
    """The newest ranking that was asked for."""

    job_id: str
    status: str
    is_active: bool
    step: str | None
    fraction: float | None
    error: str | None


class UsefulTask(Answer):
    """One unlabelled task."""

    task_id: int
    usefulness: float = Field(description="1: label it first; 0: last.")
    why: str = Field(examples=["unlike anything labelled; 3 objects in doubt"])


class LabelNext(Answer):
    """Unlabelled tasks, the most useful first."""

    is_on: bool = Field(description="Whether Label Studio hands out tasks in this order.")
    score: Score
    made_at: float | None = Field(description="Seconds since the epoch; null before any ranking.")
    version: str | None = Field(description="Which version was asked what it doubts; null: none served.")
    labelled: int = Field(description="How many pictures were labelled then.")
    job: RankJob | None
    total: int
    offset: int
    tasks: list[UsefulTask]
