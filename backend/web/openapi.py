"""The OpenAPI description, made from one table: every route of the panel's API stands there once.

The routes take their request models from the same classes, and a test compares the table with the routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend.web.openapi_operations import OPERATIONS, Operation

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
_PROBLEMS: Mapping[int, str] = {
    400: "A value is missing, unknown, of the wrong type or out of range.",
    401: "The service's user and password are wanted.",
    403: "A browser sent this from another site.",
    404: "There is no such project, task, version or job.",
    409: "It no longer fits the present state.",
    413: "The body is larger than allowed.",
    415: "The body is not of the content type that is wanted.",
    422: "The file does not fit.",
    500: "A version or the store could not be read or written.",
    502: "Label Studio or an image host refused or did not answer.",
    503: "The queue is away, or all live connections are taken.",
    507: "The disk is full.",
}


def build_document(version: str) -> Json:
    """Return the OpenAPI 3.1 document of the whole service."""
    _, definitions = models_json_schema(_models(OPERATIONS), ref_template=_REF)
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Label Studio learning backend",
            "version": version,
            "description": (
                "Everything the panel does, as plain HTTP calls. Requests that change something take JSON "
                "and are refused when a browser sends them from another site; scripts need nothing beside "
                "the service's user and password."
            ),
        },
        "security": [{"basic": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": definitions.get("$defs", {}),
        },
    }


def _models(operations: Iterable[Operation]) -> list[tuple[type[BaseModel], Mode]]:
    """Return every model once: bodies as they are checked, answers as they are sent."""
    found: dict[tuple[type[BaseModel], Mode], None] = {}
    for operation in operations:
        if operation.body is not None:
            found[operation.body, "validation"] = None
        for model in (operation.answer, operation.problem):
            if model is not None:
                found[model, "serialization"] = None
    return list(found)


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _describe(operation: Operation) -> Json:
    described: Json = {
        "summary": operation.summary,
        "operationId": operation.name,
        "tags": [operation.tag],
        "responses": {str(operation.status): _answer(operation)},
    }
    parameters = [_path_parameter(name) for name in _PARAMETER.findall(operation.path)]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": dict(schema)}
        for name, schema in operation.query.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": {"application/json": {"schema": _ref(operation.body)}},
        }
    elif operation.takes_file:
        described["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    for status in operation.problems:
        described["responses"][str(status)] = {
            "description": _PROBLEMS[status],
            "content": {"application/json": {"schema": _ref(operation.problem)}},
        }
    return described


def _answer(operation: Operation) -> Json:
    content_type = operation.content_type
    if operation.answer is not None:
        return {"description": "Done.", "content": {content_type: {"schema": _ref(operation.answer)}}}
    if content_type is None:
        return {"description": "Done."}
    return {"description": "Done.", "content": {content_type: {"schema": {"type": "string"}}}}


_PATH_SCHEMAS: Mapping[str, Json] = {
    "key": {"type": "string", "pattern": r"^\d{1,15}(\.\d{1,15})?$", "examples": ["7.1763750000"]},
    "task_id": {"type": "integer", "minimum": 0},
    "page": {"type": "integer", "minimum": 0},
}


def _path_parameter(name: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": dict(_PATH_SCHEMAS.get(name, {"type": "string"})),
    }
