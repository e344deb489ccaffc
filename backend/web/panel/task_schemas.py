"""Projects, their tasks, and the predictions and annotations of one task, as the API shows and takes them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.web.answer_models import Answer, Body, Json


class ProjectEntry(Answer):
    """One project in the switch."""

    key: str = Field(description="Use this in addresses.", examples=["7.1763750000"])
    id: int
    title: str | None = Field(description="null while Label Studio cannot be asked.")
    is_reachable: bool


class LabelStudioStatus(Answer):
    """What is known of Label Studio, and what is missing."""

    url: str | None
    has_api_key: bool
    problem: str | None
    fix: str | None


class ProjectList(Answer):
    """Every project that can be worked on."""

    projects: list[ProjectEntry]
    label_studio: LabelStudioStatus


class LabelEntry(Answer):
    """A label of the config with its colour, as written there."""

    label: str
    color: str | None


class ControlEntry(Answer):
    """A control tag of the config."""

    name: str
    kind: str
    to_name: str
    labels: list[str]
    is_skipped: bool


class ProjectView(Answer):
    """A project's head; the config is the last known one while Label Studio is away."""

    key: str
    id: int
    title: str | None
    label_studio_url: str | None = Field(description="Where a person opens the project.")
    labels: list[LabelEntry]
    controls: list[ControlEntry]
    problem: str | None
    fix: str | None


class TaskEntry(Answer):
    """One task of the list."""

    task_id: int
    name: str
    pages: int = Field(description="Number of images.")
    annotations: int
    predictions: int = Field(description="Predictions that Label Studio stores.")
    predicted_by: Literal["", "current", "older"] = Field(description="Which model version predicted it.")
    score: float | None
    usefulness: float | None = Field(description="What labelling it next is worth; null where it is unknown.")
    why: str = Field(description="Why it is as useful as that; empty where it is unknown.")


class TaskWindowView(Answer):
    """A part of the filtered and sorted list."""

    tasks: list[TaskEntry]
    offset: int
    total: int
    counts: dict[str, int] = Field(description="Tasks by filter: all, annotated, predicted, neither.")
    is_complete: bool = Field(description="false while the list is still being read from Label Studio.")
    revision: int


class TaskIds(Answer):
    """Ids of all tasks that pass a filter."""

    task_ids: list[int]
    is_complete: bool


class PageEntry(Answer):
    """One image of a task."""

    page: int
    image_tag: str
    item_index: int | None


class AnnotationView(Answer):
    """An annotation of a task; `result` in Label Studio's own form."""

    annotation_id: int
    was_cancelled: bool
    created_at: str | None
    result: list[Json]


class PredictionView(Answer):
    """The prediction to look at; `result` in Label Studio's form, from a score of 0.10 up if made here."""

    prediction_id: str
    model_version: str
    is_current_version: bool
    is_stored_in_label_studio: bool
    is_accepted: bool
    score: float | None
    result: list[Json]


class UndoView(Answer):
    """The annotation that the last accept made, and how long it can be taken back."""

    annotation_id: int
    undo_seconds_left: float


class TaskView(Answer):
    """What is drawn for a task."""

    task_id: int
    name: str
    pages: list[PageEntry]
    annotations: list[AnnotationView]
    prediction: PredictionView | None
    undo: UndoView | None


class AcceptBody(Body):
    """Exactly what was on the screen."""

    prediction_id: str
    model_version: str
    region_ids: list[str] | None = Field(None, description="The regions to accept, by id.")
    confidence_threshold: float | None = Field(
        None, ge=0.0, le=1.0, description="Instead of region_ids: every region from this score up."
    )
    annotation_ids: list[int] = Field([], description="Annotations seen on the task; any other one is a 409.")


class Accepted(Answer):
    """The annotation that was made."""

    regions: int
    annotation_id: int
    undo_seconds_left: float


class Cleared(Answer):
    """How many predictions were removed, here and in Label Studio."""

    cleared: int
