"""Joins the panel to the app: its page and its API."""

from __future__ import annotations

from flask import Blueprint

from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.web.panel.jobs import jobs_blueprint
from backend.web.panel.models import models_blueprint
from backend.web.panel.pages import pages_blueprint
from backend.web.panel.tasks import tasks_blueprint


def create_blueprints(backend: Backend, panel: Panel) -> list[Blueprint]:
    """Return the panel's blueprints."""
    return [
        pages_blueprint(),
        tasks_blueprint(backend, panel),
        jobs_blueprint(backend),
        models_blueprint(backend, panel),
    ]
