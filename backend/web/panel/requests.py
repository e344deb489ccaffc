"""What every panel route shares: bodies checked, query values read."""

from __future__ import annotations

from typing import TypeVar

from flask import Request, Response, abort, jsonify, make_response
from pydantic import BaseModel, ValidationError

from backend.errors import RequestError
from backend.service.ports import Json
from backend.web.json_bodies import read_json
from backend.web.problems import problem

_Model = TypeVar("_Model", bound=BaseModel)
LARGEST_WHOLE_NUMBER = 10**15 - 1


def read_body(request: Request, model: type[_Model]) -> _Model:
    """Return the JSON body as a model, its defaults where there is none. Raises RequestError with the field.

    Answers 415 to any other content type: forms, which pages of other sites can send, never get through.
    """
    if request.content_length in (None, 0) and not request.is_json:
        document: object = {}
    elif not request.is_json:
        abort(problem(415, "send JSON with Content-Type: application/json"))
    else:
        document = read_json()
        if not isinstance(document, dict):
            raise RequestError("the body must be a JSON object")
    try:
        return model.model_validate(document)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"{field or 'body'}: {first['msg']}", field=field or None) from exc


def read_int(request: Request, name: str, default: int) -> int:
    """Return a whole number from 0 up of the query. Raises RequestError."""
    raw = request.args.get(name)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdigit() and len(raw) < 16):
        raise RequestError(f"{name} must be a whole number from 0 up, got {raw[:80]!r}", field=name)
    return int(raw)


def read_seconds(request: Request, name: str, most: float) -> float:
    """Return a number of seconds of the query, 0 if absent. Raises RequestError."""
    raw = request.args.get(name, "0")
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise RequestError(f"{name} must be a number from 0 to {most:g}, got {raw[:80]!r}", field=name)
    return value


def read_flag(request: Request, name: str, default: bool) -> bool:
    """Return true or false of the query. Raises RequestError."""
    raw = request.args.get(name)
    if raw is None:
        return default
    if raw.lower() not in ("true", "false"):
        raise RequestError(f"{name} must be true or false, got {raw[:80]!r}", field=name)
    return raw.lower() == "true"


def read_text(request: Request, name: str) -> str:
    """Return a value of the query that must be there. Raises RequestError."""
    raw = request.args.get(name)
    if not raw:
        raise RequestError(f"{name} is missing from the query", field=name)
    return raw


def answer(model: type[BaseModel], content: Json, status: int = 200) -> Response:
    """Return the content as JSON, checked against the model that the description promises."""
    return make_response(jsonify(model.model_validate(content).model_dump(mode="json")), status)
