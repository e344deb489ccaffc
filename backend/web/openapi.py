"""The OpenAPI description, drawn from the declarations that the routes were made from.

Tests compare every answer that they see with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend.web.answer_models import Problem
from backend.web.routing import FILE_TYPE, JSON_TYPE, Route

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
# By (model, mode); pydantic's own key type also names its dataclasses, of which there are none here.
Refs = Mapping[Any, Json]

_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_LARGEST_WHOLE_NUMBER = 10**15 - 1
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
_OF_EVERY_ROUTE = (401, 429, 500)


def build_document(version: str, routes: Sequence[Route]) -> Json:
    """Return the OpenAPI 3.1 document of these routes."""
    refs, definitions = models_json_schema(_models(routes), ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _describe(route, refs)
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


def _models(routes: Sequence[Route]) -> list[tuple[type[BaseModel], Mode]]:
    """Return every model once: bodies as they are checked, answers as they are sent."""
    found: dict[tuple[type[BaseModel], Mode], None] = {(Problem, "serialization"): None}
    for route in routes:
        if route.body is not None:
            found[route.body, "validation"] = None
        for model in (route.answer, route.refusal, *route.other_answers.values()):
            if model is not None:
                found[model, "serialization"] = None
    return list(found)


def _describe(route: Route, refs: Refs) -> Json:
    described: Json = {
        "summary": route.summary,
        "operationId": route.name,
        "tags": [route.tag],
    }
    if route.is_open:
        described["security"] = []
    parameters = [_path_parameter(name) for name in _PARAMETER.findall(route.path)]
    parameters += _query_parameters(route.query)
    if parameters:
        described["parameters"] = parameters
    if route.body is not None:
        described["requestBody"] = {
            "required": route.needs_body,
            "content": {JSON_TYPE: {"schema": dict(refs[route.body, "validation"])}},
        }
    elif route.takes_file:
        described["requestBody"] = {
            "required": True,
            "content": {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    described["responses"] = _responses(route, refs)
    return described


def _responses(route: Route, refs: Refs) -> Json:
    responses = {str(route.status): _answer(route.answer, route.content_type, refs)}
    for status, model in route.other_answers.items():
        responses[str(status)] = _answer(model, None if model is None else JSON_TYPE, refs)
    for status in route.problems:
        model = Problem if status in _OF_EVERY_ROUTE else route.refusal
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
    "task_id": {"type": "integer", "minimum": 0, "maximum": _LARGEST_WHOLE_NUMBER},
    "page": {"type": "integer", "minimum": 0, "maximum": _LARGEST_WHOLE_NUMBER},
}


def _query_parameters(model: type[BaseModel] | None) -> list[Json]:
    if model is None:
        return []
    schema = model.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _query_schema(entry),
        }
        for name, entry in schema["properties"].items()
    ]


def _query_schema(entry: Json) -> Json:
    """Return the schema of a value in a query, where leaving it out is the only way to say null."""
    said = {name: value for name, value in entry.items() if name != "title"}
    if "anyOf" not in said:
        return said
    [value] = [member for member in said.pop("anyOf") if member != {"type": "null"}]
    del said["default"]
    return {**value, **said}


def _path_parameter(name: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": dict(_PATH_SCHEMAS.get(name, {"type": "string", "minLength": 1})),
    }
