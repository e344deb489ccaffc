"""The Flask application: blueprints, errors, security, logs."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.upkeep.housekeeping import Housekeeping
from backend.web.labelstudio.model_class import ModelClass, ModelClassLoader
from backend.web.labelstudio.routes import labelstudio_routes
from backend.web.logs import register_request_log
from backend.web.metrics import count_requests
from backend.web.openapi import build_document
from backend.web.panel.routes import panel_routes
from backend.web.problems import register_problems
from backend.web.routing import Route, check_declared
from backend.web.security import register_security


def create_app(
    backend: Backend, panel: Panel, housekeeping: Housekeeping, load_model_class: Callable[[], ModelClass]
) -> Flask:
    """Return the app; nothing heavy is imported before `warm_up` or the first prediction.

    load_model_class: imports the label-studio-ml class; called in a background thread, and followed by
    housekeeping.
    """
    app = Flask("backend.web", static_folder=None)  # the pages bring their own
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = backend.settings.max_body_bytes
    app.extensions["engine"] = backend.engine
    loader = app.extensions["model_class"] = ModelClassLoader(load_model_class, housekeeping.start)
    register_problems(app)
    register_request_log(app)
    metrics = count_requests(app, backend.engine, backend.jobs.queue, backend.ledger.all_told)
    register_security(app, backend.settings.basic_auth)
    declared: list[Route] = []
    app.extensions["routes"] = declared
    panel_of_app = panel_routes(backend, panel, lambda release: build_document(release, declared))
    for routes in (labelstudio_routes(backend, loader), *panel_of_app, metrics):
        app.register_blueprint(routes.blueprint)
        declared.extend(routes.declared)
    check_declared(app, declared)
    return app


def warm_up(app: Flask) -> None:
    """Begin the heavy imports in the background; called once the socket is open."""
    loader: ModelClassLoader = app.extensions["model_class"]
    loader.start()
