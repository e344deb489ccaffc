"""Settings, training images and model versions, as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from backend.service.projects.settings_form import ACTIVATIONS, AUTO_TRAIN_FIELDS
from backend.training.parameters import AtLeastOneOn, ParameterField
from backend.web.answer_models import Answer, Body, Json
from backend.web.parameter_schema import changes_schema

_ChangedParams = Annotated[
    Json | None,
    WithJsonSchema({"anyOf": [changes_schema(), {"type": "null"}]}),
]
_AUTO_TRAIN: Json = {
    "type": ["object", "null"],
    "description": "Train after so many new or changed annotations, once nobody has drawn for so long.",
    "properties": {
        field.name: {"type": field.type, "minimum": field.minimum, "maximum": field.maximum}
        for field in AUTO_TRAIN_FIELDS
    },
    "required": [field.name for field in AUTO_TRAIN_FIELDS],
    "additionalProperties": False,
}


def _leave_out_defaults(schema: Json) -> None:
    """Say nothing of defaults: an absent value stays as it is saved."""
    for described in schema["properties"].values():
        described.pop("default", None)


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


class SavedSettings(Answer):
    """The values kept for a project."""

    params: Json
    predict_after_training: bool
    activation: Literal["better", "newest"]
    auto_train: Json | None


class SettingsView(Answer):
    """Saved values, and those that a training would use now with the origin of each."""

    saved: SavedSettings
    effective: Json
    origins: dict[str, str]
    problem: str | None
    fields: list[ParameterField]
    auto_train_fields: list[ParameterField] = Field(description="The two values of automatic training.")
    at_least_one_on: AtLeastOneOn


class SettingsBody(Body):
    """What to change; absent values stay, a null parameter is forgotten.

    The values are checked all together by `change_settings`, so that every wrong field is named at once.
    """

    model_config = ConfigDict(json_schema_extra=_leave_out_defaults)
    params: _ChangedParams = None
    predict_after_training: Annotated[Any, WithJsonSchema({"type": "boolean"})] = None
    activation: Annotated[Any, WithJsonSchema({"enum": list(ACTIVATIONS)})] = None
    auto_train: Annotated[Any, WithJsonSchema(_AUTO_TRAIN)] = None


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
