"""JSON in and out: bodies read strictly, long replies written fast."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
from flask import Response, request

from backend.errors import RequestError


def read_json() -> Any:
    """Return the request's JSON, whatever content type it claims. Raises RequestError."""
    return parse_json(request.get_data(cache=False))


def parse_json(data: bytes) -> Any:
    """Return the JSON in a body; every text in it can be stored and sent on. Raises RequestError."""
    if not data.strip():
        raise RequestError("the body is empty; a JSON object was expected")
    try:
        parsed = json.loads(data, parse_constant=lambda _: None, parse_float=_finite)
        return _without_halves(data, parsed)
    except UnicodeDecodeError as exc:
        raise RequestError(f"the body is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except RecursionError as exc:
        raise RequestError("the body is nested too deeply") from exc
    except ValueError as exc:
        raise RequestError(f"the body is not JSON: {exc}") from exc


def _finite(text: str) -> float | None:
    """Return a number, None (as for NaN and Infinity) where JSON could not spell it again."""
    number = float(text)
    return number if math.isfinite(number) else None


def _without_halves(data: bytes, parsed: Any) -> Any:
    r"""Return the parsed body with a question mark for each half of a surrogate pair.

    JSON can spell such a half (`"\ud83d"`), but it is no character: no file takes it, and Redis does not.
    Refusing it would cost a whole batch for one odd task.
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return parsed
    return json.loads(json.dumps(parsed, ensure_ascii=False).encode(errors="replace"))


def json_response(content: Any, status: int = 200) -> Response:
    """Return content as JSON; keys stay in their order, and masks of a million numbers stay cheap."""
    try:
        body = orjson.dumps(content)
    except TypeError:  # integers beyond 64 bits, which JSON can spell
        body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status=status, mimetype="application/json")
