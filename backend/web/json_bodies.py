"""JSON in and out: bodies read strictly, long replies written fast."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

import orjson
from flask import Response
from pydantic import BaseModel, ValidationError

from backend.errors import RequestError

_SHOWN_CHARS = 80
_Model = TypeVar("_Model", bound=BaseModel)


def parse_json(data: bytes) -> Any:
    """Return the JSON in a body; every text in it can be stored and sent on. Raises RequestError."""
    if not data.strip():
        raise RequestError("the body is empty; a JSON object was expected")
    try:
        # Given bytes, json.loads would let halves of surrogate pairs pass that stand in them as three bytes.
        text = data.decode(json.detect_encoding(data))
        parsed = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return _without_halves(text, parsed)
    except UnicodeDecodeError as exc:
        raise RequestError(f"the body is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except RecursionError as exc:
        raise RequestError("the body is nested too deeply") from exc
    except ValueError as exc:
        raise RequestError(f"the body is not JSON: {exc}") from exc


def validated(model: type[_Model], raw: Any) -> _Model:
    """Return what came as a model. Raises RequestError naming path and value of the first wrong field."""
    if not isinstance(raw, dict):
        raise RequestError(f"the body must be a JSON object, got {_shown(raw)}")
    try:
        return model.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"] if not _is_type_name(part))
        if first["type"] == "missing":
            raise RequestError(f"{path} is missing", field=path) from exc
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise RequestError(f"{path} is not known here; known are {known}", field=path) from exc
        wanted = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise RequestError(f"{path} must be {wanted}, got {_shown(first['input'])}", field=path) from exc


def _is_type_name(part: Any) -> bool:
    """Tell the union members that pydantic puts into a path (`project.int`) from real keys."""
    return part in ("int", "str", "constrained-str", "constrained-int") or str(part).startswith("dict[")


def _shown(value: Any) -> str:
    if isinstance(value, str | int | float | bool) or value is None:
        return repr(value)[:_SHOWN_CHARS]
    if value == []:
        return "an empty list"
    return {"dict": "an object", "list": "a list"}.get(type(value).__name__, type(value).__name__)


def _finite(text: str) -> float | None:
    """Return a number, None (as for NaN and Infinity) where JSON could not spell it again."""
    number = float(text)
    return number if math.isfinite(number) else None


def _without_halves(text: str, parsed: Any) -> Any:
    r"""Return the parsed body with a question mark for each half of a surrogate pair.

    JSON can spell such a half (`"\ud83d"`), but it is no character: no file takes it, and Redis does not.
    Refusing it would cost a whole batch for one odd task.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return parsed
    return json.loads(json.dumps(parsed, ensure_ascii=False).encode(errors="replace"))


def json_response(content: Any, status: int = 200) -> Response:
    """Return content as JSON; keys stay in their order, and masks of a million numbers stay cheap."""
    try:
        body = orjson.dumps(content)
    except TypeError:  # integers beyond 64 bits, which JSON can spell
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status=status, mimetype="application/json")
