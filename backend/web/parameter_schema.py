"""The training parameters as bodies carry them: some, none, or null where a saved one is to be forgotten."""

from __future__ import annotations

from typing import Any

from backend.training.parameters import THRESHOLD_NAMES, TrainingParams

Json = dict[str, Any]


def changes_schema() -> Json:
    """Return the schema of changed parameters: each may be null as well, which takes a saved value away."""
    schema = TrainingParams.schema()
    return {**schema, "properties": {name: _or_null(entry) for name, entry in schema["properties"].items()}}


def threshold_schemas() -> dict[str, Json]:
    """Return the schemas of the parameters that a prediction takes; null means: as saved."""
    properties = TrainingParams.schema()["properties"]
    return {name: _or_null(properties[name]) for name in THRESHOLD_NAMES}


def _or_null(schema: Json) -> Json:
    if "anyOf" in schema:  # null is one of its values already
        return schema
    said = ("title", "description", "default", "x-panel-tab")
    value = {name: entry for name, entry in schema.items() if name not in said}
    return {"anyOf": [value, {"type": "null"}], **{name: schema[name] for name in said}}
