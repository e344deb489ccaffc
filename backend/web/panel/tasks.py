"""Routes of projects, tasks and their images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict

from flask import Blueprint, Response, request

from backend.service.backend import Backend
from backend.service.panel.live_state import LiveState, TooManyWatchers
from backend.service.panel.page_images import EncodedImage
from backend.service.panel.panel import Panel, list_projects, show_project
from backend.service.panel.training_images import training_images
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.service.projects.task_index import TaskRow, TaskWindow
from backend.web.panel import job_schemas, model_schemas, task_schemas
from backend.web.panel.requests import answer, read_body, read_int, read_seconds
from backend.web.problems import problem

STREAM_S = 55.0
_BEAT_S = 10.0
_LONGEST_WAIT_S = 25.0
_IMAGE_AGE_S = 3600


def tasks_blueprint(backend: Backend, panel: Panel) -> Blueprint:
    """Return the routes below /api/projects that look at a project or work on one task."""
    blueprint = Blueprint("panel_tasks", __name__)

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @blueprint.get("/api/projects")
    def projects() -> Response:
        return answer(task_schemas.ProjectList, list_projects(backend.projects, backend.connections))

    @blueprint.get("/api/projects/<key>")
    def project(key: str) -> Response:
        view = show_project(backend.projects, backend.connections, canonical(key))
        return answer(task_schemas.ProjectView, view)

    @blueprint.get("/api/projects/<key>/state")
    def state(key: str) -> Response:
        key = canonical(key)
        wait_s = read_seconds(request, "wait_s", _LONGEST_WAIT_S)
        if wait_s and "since" in request.args:
            since = read_int(request, "since", 0)
            try:
                with panel.live.watching(key):
                    panel.live.wait(key, since, wait_s)
            except TooManyWatchers:
                pass  # no place to wait in: the caller gets the state at once and asks again later
        return answer(job_schemas.State, panel.live.state(key))

    @blueprint.get("/api/projects/<key>/events")
    def events(key: str) -> Response:
        key = canonical(key)
        stream = _events(panel.live, key)
        try:
            first = next(stream)
        except TooManyWatchers as exc:
            response = problem(503, str(exc))
            response.headers["Retry-After"] = "10"
            return response
        return Response(_after(first, stream), mimetype="text/event-stream", headers=_STREAM_HEADERS)

    @blueprint.get("/api/projects/<key>/check")
    def check_project(key: str) -> Response:
        return answer(job_schemas.CheckReport, _report(panel, canonical(key)))

    @blueprint.get("/api/check")
    def check_service() -> Response:
        return answer(job_schemas.CheckReport, _report(panel, None))

    @blueprint.get("/api/projects/<key>/tasks")
    def tasks(key: str) -> Response:
        offset = read_int(request, "offset", 0)
        window = panel.index.window(
            canonical(key),
            show=request.args.get("show", "all"),
            sort=request.args.get("sort", "id"),
            offset=offset,
            limit=read_int(request, "limit", 100),
        )
        return answer(task_schemas.TaskWindowView, _window_view(window, offset))

    @blueprint.get("/api/projects/<key>/task-ids")
    def task_ids(key: str) -> Response:
        key = canonical(key)
        ids = panel.index.ids(key, show=request.args.get("show", "all"))
        return answer(task_schemas.TaskIds, {"task_ids": ids, "is_complete": panel.index.rows(key)[1]})

    @blueprint.get("/api/projects/<key>/training-images")
    def list_training_images(key: str) -> Response:
        offset, limit = read_int(request, "offset", 0), read_int(request, "limit", 100)
        images = backend.engine.images
        return answer(
            model_schemas.TrainingImages,
            training_images(panel.index, images, backend.connections, canonical(key), offset, limit),
        )

    @blueprint.get("/api/projects/<key>/tasks/<int:task_id>")
    def task(key: str, task_id: int) -> Response:
        return answer(task_schemas.TaskView, panel.review.view(canonical(key), task_id))

    @blueprint.get("/api/projects/<key>/tasks/<int:task_id>/images/<int:page>")
    def image(key: str, task_id: int, page: int) -> Response:
        return _jpeg(panel.images.image(canonical(key), task_id, page))

    @blueprint.get("/api/projects/<key>/tasks/<int:task_id>/thumbnails/<int:page>")
    def thumbnail(key: str, task_id: int, page: int) -> Response:
        return _jpeg(panel.images.thumbnail(canonical(key), task_id, page))

    @blueprint.post("/api/projects/<key>/tasks/<int:task_id>/predict")
    def predict(key: str, task_id: int) -> Response:
        return answer(task_schemas.TaskView, panel.review.predict(canonical(key), task_id))

    @blueprint.post("/api/projects/<key>/tasks/<int:task_id>/accept")
    def accept(key: str, task_id: int) -> Response:
        body = read_body(request, task_schemas.AcceptBody)
        key = canonical(key)
        accepted = panel.review.accept(key, task_id, **body.model_dump())
        panel.project_changed(key)
        return answer(task_schemas.Accepted, accepted)

    @blueprint.post("/api/projects/<key>/tasks/<int:task_id>/undo-accept")
    def undo_accept(key: str, task_id: int) -> Response:
        key = canonical(key)
        view = panel.review.undo_accept(key, task_id)
        panel.project_changed(key)
        return answer(task_schemas.TaskView, view)

    @blueprint.delete("/api/projects/<key>/tasks/<int:task_id>/predictions")
    def clear(key: str, task_id: int) -> Response:
        return answer(task_schemas.Cleared, panel.review.clear(canonical(key), task_id))

    return blueprint


_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _events(live: LiveState, key: str) -> Iterator[str]:
    """Yield the state and then every change of it, for a minute or until the process is told to leave.

    So no thread is held for long. Comments in between tell the server that the browser has gone.
    """
    with live.watching(key):
        state = live.state(key)
        yield _event(state)
        ends_at = time.monotonic() + STREAM_S
        while time.monotonic() < ends_at and not live.is_leaving:
            changed = live.wait(key, int(state["revision"]), _BEAT_S)
            state = changed or state
            yield _event(state) if changed else ": still here\n\n"


def _event(state: Json) -> str:
    body = job_schemas.State.model_validate(state).model_dump(mode="json")
    return f"event: state\nid: {body['revision']}\nretry: 2000\ndata: {json.dumps(body)}\n\n"


def _after(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _report(panel: Panel, key: str | None) -> Json:
    return {"checks": [check.as_dict() for check in panel.diagnosis.run(key)]}


def _window_view(window: TaskWindow, offset: int) -> Json:
    return {
        "tasks": [_row_view(row) for row in window.rows],
        "offset": offset,
        "total": window.total,
        "counts": dict(window.counts),
        "is_complete": window.is_complete,
        "revision": window.revision,
    }


def _row_view(row: TaskRow) -> Json:
    view = asdict(row)
    del view["data"]
    return {**view, "pages": len(row.pages)}


def _jpeg(encoded: EncodedImage) -> Response:
    response = Response(encoded.data, mimetype="image/jpeg")
    response.cache_control.private = True
    response.cache_control.max_age = _IMAGE_AGE_S
    response.headers["X-Image-Size"] = f"{encoded.width}x{encoded.height}"
    return response
