"""Bodies as Label Studio and scripts send them: wrong types are refused by field, unknown fields accepted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from backend.training.parameters import TrainingParams
from backend.web.parameter_schema import threshold_schemas

MOST_TASKS = 100_000


def _empty_to_object(value: Any) -> Any:
    return {} if value is None else value


def _refuse_empty(tasks: list[Any]) -> list[Any]:
    if not tasks:
        raise ValueError(
            "a list of at least one labelled task, or be left out to learn from what Label Studio has"
        )
    return tasks


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, arbitrary_types_allowed=True)


PROJECT_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,15})?$"
ProjectId = Annotated[
    StrictInt | StrictStr,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
                {"type": "string", "pattern": PROJECT_PATTERN, "examples": ["7.1763750000", "7"]},
            ]
        }
    ),
]
"""`7`, or `7.1763750000`: Label Studio's id and the project's creation in unix seconds."""
ProjectText = Annotated[StrictStr, WithJsonSchema({"type": "string", "pattern": PROJECT_PATTERN})]
JsonObject = dict[str, Any]
_Params = Annotated[JsonObject, BeforeValidator(_empty_to_object)]
TrainParams = Annotated[_Params, WithJsonSchema({"anyOf": [TrainingParams.schema(), {"type": "null"}]})]
_PREDICT_PARAMS = {
    "type": ["object", "null"],
    "description": "Thresholds, the project's HTTP credentials, a smart tool's prompts; others are ignored.",
    "properties": {
        **threshold_schemas(),
        "login": {"type": ["string", "null"]},
        "password": {"type": ["string", "null"]},
        "context": {"type": ["object", "null"]},
    },
}
PredictParamsObject = Annotated[_Params, WithJsonSchema(_PREDICT_PARAMS)]
LabelledTasks = Annotated[
    list[JsonObject],
    Field(max_length=MOST_TASKS, json_schema_extra={"minItems": 1}),
    AfterValidator(_refuse_empty),
]


class SetupBody(_Body):
    """`/setup`; extra_params is taken as it comes, a wrong one must not break the connection."""

    project: ProjectId
    label_config: StrictStr | None = Field(default=None, alias="schema")
    hostname: StrictStr | None = None
    access_token: StrictStr | None = None
    extra_params: Any = None


class PredictParams(_Body):
    """`params` of `/predict`; other keys stay in the body's own dict."""

    login: StrictStr | None = None
    password: StrictStr | None = None
    context: JsonObject | None = None


class PredictBody(_Body):
    """`/predict`."""

    tasks: Annotated[list[JsonObject], Field(max_length=MOST_TASKS)]
    project: ProjectId
    label_config: StrictStr | None = None
    params: PredictParamsObject = Field(default_factory=dict)


class TrainBody(_Body):
    """`/train`; without annotations they are fetched. An empty list is a mistake of the caller."""

    project: ProjectId
    annotations: LabelledTasks | None = None
    label_config: StrictStr | None = None
    params: TrainParams = Field(default_factory=dict)


class WebhookBody(_Body):
    """`/webhook`; only the action, the project and the number of annotations are looked at."""

    action: StrictStr
    project: JsonObject | StrictInt | StrictStr | None = None
    annotation: Any = None
    annotations: Any = None

    @property
    def amount(self) -> int:
        """How many annotations the event is about, at least 1."""
        several = next((item for item in (self.annotations, self.annotation) if isinstance(item, list)), ())
        return max(1, min(len(several), MOST_TASKS))


class JobBody(_Body):
    """`/job_status`."""

    job: StrictStr


class StopBody(_Body):
    """`/stop`; keep: make a version of what it has learned so far instead of discarding it."""

    job: StrictStr
    keep: StrictBool = False


class ProjectBody(_Body):
    """`/delete`."""

    project: ProjectId


class VersionsBody(_Body):
    """`/versions`; without a project, all."""

    project: ProjectId | None = None


class VersionsQuery(_Body):
    """The query of `/versions`; without a project, all."""

    project: ProjectText | None = None


class ProjectQuery(_Body):
    """A query that names a project."""

    project: ProjectText


class ValidateBody(_Body):
    """`/validate`."""

    config: StrictStr


class DuplicateBody(_Body):
    """`/duplicate_model`."""

    project_src: ProjectId
    project_dst: ProjectId
