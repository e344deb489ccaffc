"""Errors as HTTP answers: one table from class to status, one form of body, never a traceback."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from backend import errors

logger = logging.getLogger(__name__)

STATUS_BY_ERROR: dict[type[errors.BackendError], int] = {
    errors.RequestError: 400,
    errors.LabelConfigError: 400,
    errors.AnnotationError: 400,
    errors.ParameterError: 400,
    errors.ProjectKeyError: 400,
    errors.ConflictError: 409,
    errors.NotFoundError: 404,
    errors.FetchError: 502,
    errors.HostAway: 502,
    errors.ImageNotFound: 404,
    errors.ImageTooLarge: 413,
    errors.ImageDecodeError: 422,
    errors.AddressRefused: 403,
    errors.LabelStudioError: 502,
    errors.LabelStudioAuthError: 502,
    errors.LabelStudioGone: 404,
    errors.VersionError: 409,
    errors.NotReadyError: 503,
    errors.TextReadingError: 503,
    errors.NoMemoryLeft: 503,
    errors.StoreError: 507,
    errors.QueueError: 503,
    errors.SettingsError: 500,
    errors.TrainingError: 500,
    errors.NotEnoughData: 409,
    errors.LossDiverged: 500,
    errors.OutOfMemory: 507,
    errors.TrainingStopped: 409,
    errors.BackendError: 500,
}
RETRY_AFTER_S = 10


def status_of(error: errors.BackendError) -> int:
    """Return the status of an error: that of its class, or of the nearest class above that the table has."""
    return status_of_kind(type(error))


def status_of_kind(kind: type[errors.BackendError] | type[HTTPException]) -> int:
    """Return the status of a class of errors: its own where HTTP knows it, else that of the table."""
    if issubclass(kind, HTTPException):
        return kind.code or 500
    return next(STATUS_BY_ERROR[parent] for parent in kind.__mro__ if parent in STATUS_BY_ERROR)


def problem(status: int, message: str, **more: object) -> Response:
    """Return the one form of an error body: `{"error": message, ...}`, without empty members."""
    response = jsonify(
        {"error": message, **{name: value for name, value in more.items() if value is not None}}
    )
    response.status_code = status
    return response


def register_problems(app: Flask) -> None:
    """Make the app answer every error in that form."""
    app.register_error_handler(errors.BackendError, _answer_backend_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_unexpected)


def _answer_backend_error(error: errors.BackendError) -> Response:
    return answer_error(error, status_of(error))


def answer_error(error: errors.BackendError, status: int) -> Response:
    """Return an error as an answer with a status, and log it."""
    log = logger.error if status >= 500 else logger.info
    log("%s %s: %d %s", request.method, request.path, status, error)
    said = {"field": "field", "errors": "errors", "job": "job_id"}
    response = problem(status, str(error), **{name: getattr(error, of, None) for name, of in said.items()})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _answer_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    message = error.description or error.name
    if isinstance(error, RequestEntityTooLarge) and message == RequestEntityTooLarge.description:
        limit = request.max_content_length
        message = (
            f"the body is larger than the limit of {limit} bytes; send fewer tasks, or raise MAX_BODY_BYTES"
        )
    response = problem(status, message)
    for name, value in error.get_headers():
        if name in ("Allow", "WWW-Authenticate", "Retry-After"):
            response.headers[name] = value
    return response


def _answer_unexpected(error: Exception) -> Response:
    logger.exception("%s %s failed", request.method, request.path)
    return problem(500, f"unexpected {type(error).__name__}; the log has the details")
