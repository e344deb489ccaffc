"""JSON in and out: bodies read strictly, long replies written fast."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request

from backend.errors import RequestError


def read_json() -> Any:
    """Return the request's JSON, whatever content type it claims. Raises RequestError."""
    data = request.get_data(cache=False)
    if not data.strip():
        raise RequestError("the body is empty; a JSON object was expected")
    try:
        return json.loads(data)
    except UnicodeDecodeError as exc:
        raise RequestError(f"the body is not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    except RecursionError as exc:
        raise RequestError("the body is nested too deeply") from exc
    except ValueError as exc:
        raise RequestError(f"the body is not JSON: {exc}") from exc


def json_response(content: Any, status: int = 200) -> Response:
    """Return content as JSON; keys stay in their order, and masks of a million numbers stay cheap."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(text, status=status, mimetype="application/json")
