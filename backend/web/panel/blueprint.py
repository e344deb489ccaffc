"""Joins the panel to the app: its page and its API."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint

from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.web.panel.jobs import jobs_blueprint
from backend.web.panel.models import models_blueprint
from backend.web.panel.pages import pages_blueprint
from backend.web.panel.tasks import tasks_blueprint


def create_blueprints(backend: Backend, panel: Panel, describe: Callable[[str], Json]) -> list[Blueprint]:
    """Return the panel's blueprints; describe: makes the OpenAPI document of a release."""
    return [
        pages_blueprint(describe),
        tasks_blueprint(backend, panel),
        jobs_blueprint(backend),
        models_blueprint(backend, panel),
    ]
