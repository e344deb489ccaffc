"""One log line per request, and an id that leads from it to whatever else was logged meanwhile."""

from __future__ import annotations

import logging
import secrets
import time

from flask import Flask, Response, g, request

from backend.logs import context

REQUEST_ID_HEADER = "X-Request-ID"
_MOST_ID_CHARS = 64
QUIET_PATHS = ("/health",)

logger = logging.getLogger(__name__)


def register_request_log(app: Flask) -> None:
    """Give every request an id and log one line for it: method, path, status, milliseconds."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        is_usable = 0 < len(given) <= _MOST_ID_CHARS and given.isascii() and given.isprintable()
        g.request_id = given if is_usable else secrets.token_hex(6)
        g.started = time.perf_counter()
        context.set({"request": g.request_id})

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = g.get("request_id", "")
        milliseconds = (time.perf_counter() - g.get("started", time.perf_counter())) * 1000
        level = logging.DEBUG if request.path in QUIET_PATHS else logging.INFO
        logger.log(
            level, "%s %s %d in %.0f ms", request.method, request.path, response.status_code, milliseconds
        )
        return response
