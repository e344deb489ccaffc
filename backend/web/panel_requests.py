"""What every panel route shares: bodies checked, query values read, requests from other sites refused."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

from flask import Request, Response, abort, jsonify, make_response
from pydantic import BaseModel, ValidationError

from backend.errors import RequestError
from backend.service.ports import Json
from backend.web.json_bodies import read_json
from backend.web.problems import problem

_Model = TypeVar("_Model", bound=BaseModel)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LARGEST_WHOLE_NUMBER = 10**15 - 1
_OWN_SITES = ("same-origin", "none")


def refuse_other_sites(request: Request) -> Response | None:
    """Return a 403 for a changing request that a browser sent from another site, None for all others.

    Browsers say where a request comes from in Sec-Fetch-Site or Origin, and pages cannot forge either;
    programs such as curl send neither and carry no cookies or stored passwords that a page could abuse.
    """
    if request.method in SAFE_METHODS or _is_own_site(request):
        return None
    message = "a browser sent this from another site; open the panel itself, or call from a program"
    return problem(403, message)


def _is_own_site(request: Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OWN_SITES
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


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
