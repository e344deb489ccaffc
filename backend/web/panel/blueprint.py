"""Joins the panel to the app: its page and its API."""

from __future__ import annotations

from flask import Blueprint

from backend.service.panel.panel import build_panel
from backend.service.services import Services
from backend.web.panel.jobs import jobs_blueprint
from backend.web.panel.models import models_blueprint
from backend.web.panel.pages import pages_blueprint
from backend.web.panel.tasks import tasks_blueprint


def create_blueprints(services: Services) -> list[Blueprint]:
    """Return the panel's blueprints; from now on events of Label Studio are hints for it too."""
    panel = build_panel(services)
    services.hints.listen(lambda key, action: panel.project_changed(key, by_event=True))
    return [pages_blueprint(), tasks_blueprint(panel), jobs_blueprint(panel), models_blueprint(panel)]
