"""The training parameters as JSON Schema, from the ranges they are checked against."""

from __future__ import annotations

from typing import Any

from backend.service.ports import Json
from backend.service.projects.settings_form import describe_fields

_TYPES: dict[str, Json] = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "choice": {"type": "integer"},
    "text": {"type": "string", "minLength": 1, "maxLength": 200},
    "list": {"type": ["array", "null"], "items": {"type": "integer"}, "minItems": 1},
}


def parameters_schema(*, null_forgets: bool = False) -> Json:
    """Return the schema of an object of training parameters, all optional.

    null_forgets: each may be null as well, which takes a saved value away.
    """
    fields = describe_fields()
    return {
        "type": "object",
        "properties": {field["name"]: _property(field, null_forgets) for field in fields},
        "additionalProperties": False,
    }


def threshold_schemas() -> dict[str, Json]:
    """Return the schemas of the parameters that a prediction takes; null means: as saved."""
    wanted = ("confidence_threshold", "nms_threshold")
    return {field["name"]: _property(field, True) for field in describe_fields() if field["name"] in wanted}


def _property(field: Json, may_be_null: bool) -> Json:
    schema: dict[str, Any] = {**_TYPES[field["type"]]}
    if field["choices"] is not None:
        schema["enum"] = field["choices"]
    if field["minimum"] is not None:
        schema["minimum"], schema["maximum"] = field["minimum"], field["maximum"]
    if may_be_null and schema["type"] != ["array", "null"]:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "description": field["explanation"], "default": field["default"]}
