"""The OpenAPI description, made from the tables of operations: every route stands there once.

The routes take their request models from the same classes, and tests compare the tables with the routes and
every answer that they see with the description.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend.web.answer_models import Problem
from backend.web.labelstudio.operations import LABELSTUDIO_OPERATIONS, PAGE_OPERATIONS
from backend.web.operations import JSON_TYPE, Operation
from backend.web.panel.operations import PANEL_OPERATIONS
from backend.web.panel.requests import LARGEST_WHOLE_NUMBER

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
# By (model, mode); pydantic's own key type also names its dataclasses, of which there are none here.
Refs = Mapping[Any, Json]

OPERATIONS = (*LABELSTUDIO_OPERATIONS, *PANEL_OPERATIONS, *PAGE_OPERATIONS)
_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
_PROBLEMS: Mapping[int, str] = {
    400: "A value is missing, unknown, of the wrong type or out of range.",
    401: "The service's user and password are wanted.",
    403: "A browser sent this from another site, or the image's address is of a kind that is never fetched.",
    404: "There is no such project, task, version or job.",
    409: "It no longer fits the present state.",
    410: "There is no such job, or not any more.",
    413: "The body or the image is larger than allowed.",
    415: "The body is not of the content type that is wanted.",
    422: "The file does not fit.",
    429: "Too many wrong passwords came from this address.",
    500: "Something unexpected; the log has the details.",
    502: "Label Studio or an image host refused or did not answer.",
    503: "The queue is away, or all live connections are taken.",
    507: "The store could not be read or written, or memory does not suffice.",
}
_OPEN_PROBLEMS = (500,)
_GUARDED_PROBLEMS = (401, 429, 500)
_BODY_PROBLEM = 413
_OTHER_SITE = 403


def build_document(version: str) -> Json:
    """Return the OpenAPI 3.1 document of the whole service."""
    refs, definitions = models_json_schema(_models(OPERATIONS), ref_template=_REF)
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Label Studio learning backend",
            "version": version,
            "description": (
                "What Label Studio calls, and everything the panel does, as plain HTTP calls. Below /api, "
                "requests that change something take JSON and are refused when a browser sends them from "
                "another site; scripts need nothing beside the service's user and password, where they are "
                "set."
            ),
        },
        "security": [{"basic": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": definitions.get("$defs", {}),
        },
    }


def problems_of(operation: Operation) -> tuple[int, ...]:
    """Return every status with which the operation may be refused, in order."""
    common = _OPEN_PROBLEMS if operation.is_open else _GUARDED_PROBLEMS
    has_body = operation.body is not None or operation.takes_file
    body = (_BODY_PROBLEM,) if has_body else ()
    other_site = () if operation.method == "GET" else (_OTHER_SITE,)
    return tuple(sorted({*operation.problems, *common, *body, *other_site}))


def _models(operations: Iterable[Operation]) -> list[tuple[type[BaseModel], Mode]]:
    """Return every model once: bodies as they are checked, answers as they are sent."""
    found: dict[tuple[type[BaseModel], Mode], None] = {(Problem, "serialization"): None}
    for operation in operations:
        if operation.body is not None:
            found[operation.body, "validation"] = None
        for model in (operation.answer, operation.problem, *operation.other_answers.values()):
            if model is not None:
                found[model, "serialization"] = None
    return list(found)


def _describe(operation: Operation, refs: Refs) -> Json:
    described: Json = {
        "summary": operation.summary,
        "operationId": operation.name,
        "tags": [operation.tag],
    }
    if operation.is_open:
        described["security"] = []
    parameters = [_path_parameter(name) for name in _PARAMETER.findall(operation.path)]
    parameters += [
        {"name": name, "in": "query", "required": name in operation.required_query, "schema": dict(schema)}
        for name, schema in operation.query.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": {JSON_TYPE: {"schema": dict(refs[operation.body, "validation"])}},
        }
    elif operation.takes_file:
        described["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    described["responses"] = _responses(operation, refs)
    return described


def _responses(operation: Operation, refs: Refs) -> Json:
    responses = {str(operation.status): _answer(operation.answer, operation.content_type, refs)}
    for status, model in operation.other_answers.items():
        responses[str(status)] = _answer(model, None if model is None else JSON_TYPE, refs)
    for status in problems_of(operation):
        model = Problem if status in _GUARDED_PROBLEMS else operation.problem
        responses[str(status)] = {
            "description": _PROBLEMS[status],
            "content": {JSON_TYPE: {"schema": dict(refs[model, "serialization"])}},
        }
    return responses


def _answer(model: type[BaseModel] | None, content_type: str | None, refs: Refs) -> Json:
    if content_type is None:
        return {"description": "Done."}
    if model is not None:
        schema = dict(refs[model, "serialization"])
    else:
        schema = {"type": "object"} if content_type == JSON_TYPE else {"type": "string"}
    return {"description": "Done.", "content": {content_type: {"schema": schema}}}


_PATH_SCHEMAS: Mapping[str, Json] = {
    "key": {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,15})?$", "examples": ["7.1763750000"]},
    "task_id": {"type": "integer", "minimum": 0, "maximum": LARGEST_WHOLE_NUMBER},
    "page": {"type": "integer", "minimum": 0, "maximum": LARGEST_WHOLE_NUMBER},
}


def _path_parameter(name: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": dict(_PATH_SCHEMAS.get(name, {"type": "string", "minLength": 1})),
    }
