"""The Flask application: blueprints, errors, security, logs."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.upkeep.housekeeping import Housekeeping
from backend.web.labelstudio import routes as labelstudio
from backend.web.labelstudio.model_class import ModelClass, ModelClassLoader
from backend.web.logs import register_request_log
from backend.web.metrics import register_metrics
from backend.web.openapi import build_document
from backend.web.panel.blueprint import create_blueprints
from backend.web.problems import register_problems
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
    register_metrics(app, backend.engine, backend.jobs.queue)
    register_security(app, backend.settings.basic_auth)
    app.register_blueprint(labelstudio.create_blueprint(backend, loader))
    for blueprint in create_blueprints(backend, panel, build_document):
        app.register_blueprint(blueprint)
    return app


def warm_up(app: Flask) -> None:
    """Begin the heavy imports in the background; called once the socket is open."""
    loader: ModelClassLoader = app.extensions["model_class"]
    loader.start()
