"""Routes of projects, tasks and their images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict

from flask import Response

from backend.errors import StoreError
from backend.service.backend import Backend
from backend.service.panel.live_state import LiveState, TooManyWatchers
from backend.service.panel.page_images import JpegImage
from backend.service.panel.panel import Panel
from backend.service.panel.panel import list_projects as known_projects
from backend.service.panel.panel import show_project as project_head
from backend.service.panel.training_images import training_images
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.service.projects.task_index import TaskRow, TaskWindow
from backend.web.panel import job_schemas, model_schemas, queries, task_schemas
from backend.web.panel.refusals import CHANGES, READS, SHOWS_IMAGE
from backend.web.routing import NAMES_PROJECT, Routes

STREAM_S = 55.0
_BEAT_S = 10.0
_IMAGE_AGE_S = 30  # the picture may be replaced
_JPEG = "image/jpeg"


def tasks_routes(backend: Backend, panel: Panel) -> Routes:
    """Return the routes below /api/projects that look at a project or work on one task."""
    routes = Routes("panel_tasks", __name__, tag="tasks", json_only=True)

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @routes.get("/api/projects", tag="projects", answer=task_schemas.ProjectList, refuses=(StoreError,))
    def list_projects() -> Json:
        """List the projects, and what is missing to reach them."""
        return known_projects(backend.projects, backend.connections)

    @routes.get("/api/projects/<key>", tag="projects", answer=task_schemas.ProjectView, refuses=NAMES_PROJECT)
    def show_project(key: str) -> Json:
        """Show title, labels and control tags of a project."""
        return project_head(backend.projects, backend.connections, canonical(key))

    @routes.get("/api/projects/<key>/state", tag="projects", answer=job_schemas.State, refuses=NAMES_PROJECT)
    def show_state(key: str, query: queries.StateQuery) -> Json:
        """Show what happens now: jobs, workers, model, statistics; waits for a change if asked to."""
        key = canonical(key)
        if query.wait_s and query.since is not None:
            try:
                with panel.live.watching(key):
                    panel.live.wait(key, query.since, query.wait_s)
            except TooManyWatchers:
                pass  # no place to wait in: the caller gets the state at once and asks again later
        return panel.live.state(key)

    @routes.get(
        "/api/projects/<key>/events",
        tag="projects",
        content_type="text/event-stream",
        refuses=(*NAMES_PROJECT, TooManyWatchers),
        statuses={TooManyWatchers: 503},
    )
    def stream_events(key: str) -> Response:
        """Stream the same as server-sent events `state`, one a change; ends after a minute, connect again."""
        stream = _events(panel.live, canonical(key))
        first = next(stream)
        return Response(_after(first, stream), mimetype="text/event-stream", headers=_STREAM_HEADERS)

    @routes.get(
        "/api/projects/<key>/check", tag="projects", answer=job_schemas.CheckReport, refuses=NAMES_PROJECT
    )
    def check_project(key: str) -> Json:
        """Check connection: every link of the chain, with the fix beside a broken one."""
        return _report(panel, canonical(key))

    @routes.get("/api/check", tag="projects", answer=job_schemas.CheckReport, refuses=(StoreError,))
    def check_service() -> Json:
        """Check connection: the links that need no project."""
        return _report(panel, None)

    @routes.get("/api/projects/<key>/tasks", answer=task_schemas.TaskWindowView, refuses=READS)
    def list_tasks(key: str, query: queries.TasksQuery) -> Json:
        """List a part of the tasks, filtered and sorted."""
        window = panel.index.window(
            canonical(key), show=query.show, sort=query.sort, offset=query.offset, limit=query.limit
        )
        return _window_view(window, query.offset)

    @routes.get("/api/projects/<key>/task-ids", answer=task_schemas.TaskIds, refuses=READS)
    def list_task_ids(key: str, query: queries.FilterQuery) -> Json:
        """List the ids of all tasks that pass a filter."""
        key = canonical(key)
        return {"task_ids": panel.index.ids(key, show=query.show), "is_complete": panel.index.rows(key)[1]}

    @routes.get(
        "/api/projects/<key>/training-images",
        tag="training",
        answer=model_schemas.TrainingImages,
        refuses=READS,
    )
    def list_training_images(key: str, query: queries.WindowQuery) -> Json:
        """List images with their state: loaded, labelled but not loaded, unlabelled."""
        images, connections = backend.engine.images, backend.connections
        return training_images(panel.index, images, connections, canonical(key), query.offset, query.limit)

    @routes.get("/api/projects/<key>/tasks/<int:task_id>", answer=task_schemas.TaskView, refuses=READS)
    def show_task(key: str, task_id: int) -> Json:
        """Show images, annotations and the prediction of a task."""
        return panel.review.view(canonical(key), task_id)

    @routes.get(
        "/api/projects/<key>/tasks/<int:task_id>/images/<int:page>",
        content_type=_JPEG,
        refuses=SHOWS_IMAGE,
    )
    def show_image(key: str, task_id: int, page: int) -> Response:
        """Send one image of a task, upright, shrunk to 2048 px where it is larger.

        The header X-Image-Size has its own size.
        """
        return _jpeg(panel.images.image(canonical(key), task_id, page))

    @routes.get(
        "/api/projects/<key>/tasks/<int:task_id>/images/<int:page>/tiles/<int:level>/<int:column>/<int:row>",
        content_type=_JPEG,
        refuses=SHOWS_IMAGE,
    )
    def show_tile(key: str, task_id: int, page: int, level: int, column: int, row: int) -> Response:
        """Send 512 x 512 px of an image that is shrunk to 1 / 2^level, counted from its left upper corner."""
        return _jpeg(panel.images.tile(canonical(key), task_id, page, level, column, row))

    @routes.get(
        "/api/projects/<key>/tasks/<int:task_id>/thumbnails/<int:page>",
        content_type=_JPEG,
        refuses=SHOWS_IMAGE,
    )
    def show_thumbnail(key: str, task_id: int, page: int) -> Response:
        """Send one image of a task, small."""
        return _jpeg(panel.images.thumbnail(canonical(key), task_id, page))

    @routes.post(
        "/api/projects/<key>/tasks/<int:task_id>/predict", answer=task_schemas.TaskView, refuses=CHANGES
    )
    def predict_task(key: str, task_id: int) -> Json:
        """Predict Current: predict the task now, from a score of 0.10 up."""
        return panel.review.predict(canonical(key), task_id)

    @routes.post(
        "/api/projects/<key>/tasks/<int:task_id>/accept", answer=task_schemas.Accepted, refuses=CHANGES
    )
    def accept_prediction(key: str, task_id: int, body: task_schemas.AcceptBody) -> Json:
        """Accept Predictions: make an annotation of what was shown; 409 if any of it changed."""
        key = canonical(key)
        accepted = panel.review.accept(key, task_id, **body.model_dump())
        panel.project_changed(key)
        return accepted

    @routes.post(
        "/api/projects/<key>/tasks/<int:task_id>/undo-accept", answer=task_schemas.TaskView, refuses=CHANGES
    )
    def undo_accept(key: str, task_id: int) -> Json:
        """Delete the annotation that the last accept made, for ten minutes and unless it was edited."""
        key = canonical(key)
        view = panel.review.undo_accept(key, task_id)
        panel.project_changed(key)
        return view

    @routes.delete(
        "/api/projects/<key>/tasks/<int:task_id>/predictions", answer=task_schemas.Cleared, refuses=CHANGES
    )
    def clear_predictions(key: str, task_id: int) -> Json:
        """Clear Predictions: remove all predictions of the task, in Label Studio too."""
        return panel.review.clear(canonical(key), task_id)

    return routes


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


def _jpeg(encoded: JpegImage) -> Response:
    response = Response(encoded.data, mimetype=_JPEG)
    response.cache_control.private = True
    response.cache_control.max_age = _IMAGE_AGE_S
    response.headers["X-Image-Size"] = f"{encoded.width}x{encoded.height}"
    return response
