"""What the panel's JSON API takes and gives; the description at `/openapi.json` is made from these models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


class Answer(BaseModel):
    """A response body: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """A request body: a field that is not listed is a mistake of the caller's."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(extra="allow")
    error: str = Field(description="What was wanted, what came, and the next move.")
    field: str | None = Field(None, description="Path of the offending value.")
    errors: dict[str, str] | None = Field(None, description="One sentence for each wrong field, by name.")


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


class TrainingImageEntry(Answer):
    """One image in the settings' list; loaded: in the backend's cache and ready."""

    task_id: int
    name: str
    annotations: int
    state: Literal["loaded", "not_loaded", "unlabelled"]


class TrainingImages(Answer):
    """A part of the list of training images."""

    images: list[TrainingImageEntry]
    offset: int
    total: int
    counts: dict[str, int] = Field(description="Images by state.")
    is_complete: bool


class TrainBody(Body):
    """Parameters of this training alone; what is absent comes from the saved values."""

    params: Json = Field(default_factory=dict, description="Any of the parameters listed by the settings.")


class JobCreated(Answer):
    """The job that was queued."""

    job: str


class StopBody(Body):
    """How to end a job."""

    mode: Literal["keep", "discard"] = Field("discard", description="keep: publish the best epoch so far.")


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


class Statistics(Answer):
    """What the annotations of a project hold."""

    annotated_images: int
    shapes: int
    painted: int
    total: int
    labels: list[LabelCount]


class ModelStatus(Answer):
    """The model that serves."""

    is_trained: bool
    version: str | None
    card: Json | None
    problem: str | None = None


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


class SavedSettings(Answer):
    """The values kept for a project."""

    params: Json
    predict_after_training: bool
    activation: Literal["better", "newest"]
    auto_train: Json | None


class FieldDescription(Answer):
    """One parameter: what it may be and what it does."""

    name: str
    type: Literal["integer", "number", "choice", "boolean", "text", "list"]
    default: Any
    explanation: str
    minimum: float | None
    maximum: float | None
    choices: list[Any] | None


class SettingsView(Answer):
    """Saved values, and those that a training would use now with the origin of each."""

    saved: SavedSettings
    effective: Json
    origins: dict[str, str]
    problem: str | None
    fields: list[FieldDescription]


class SettingsBody(Body):
    """What to change; absent values stay, a null parameter is forgotten."""

    params: Json | None = None
    predict_after_training: Any = None
    activation: Any = None
    auto_train: Any = None


class BackboneEntry(Answer):
    """One backbone; relative_cost: time of a training step, resnet18 being 1."""

    name: str
    size: str
    relative_cost: float


class BackboneFamily(Answer):
    """The backbones of a family, small to large."""

    family: str
    backbones: list[BackboneEntry]


class Backbones(Answer):
    """The curated list; any other timm network with features can be named too."""

    families: list[BackboneFamily]


class VersionList(Answer):
    """The cards of all versions, newest first; each has version, pinned and is_current."""

    versions: list[Json]
    current: str | None


class VersionChanged(Answer):
    """The version that was touched, and the one that serves now."""

    version: str
    current: str | None


class PinBody(Body):
    """Whether the version is kept however old it gets."""

    pinned: bool


class MetricDifference(Answer):
    """One metric of two versions."""

    name: str
    before: float | None
    after: float | None
    difference: float | None


class ClassComparison(Answer):
    """The metrics of one label."""

    label: str
    metrics: list[MetricDifference]


class ParameterDifference(Answer):
    """A parameter in which the two differ."""

    name: str
    before: Any
    after: Any


class Comparison(Answer):
    """Two versions side by side."""

    before: str
    after: str
    metrics: list[MetricDifference]
    classes: list[ClassComparison]
    parameters: list[ParameterDifference]
    sentence: str


class CheckEntry(Answer):
    """One link of the chain."""

    check: str
    title: str
    state: Literal["ok", "warning", "failed", "skipped"]
    found: str
    fix: str | None


class CheckReport(Answer):
    """All links of the chain."""

    checks: list[CheckEntry]
