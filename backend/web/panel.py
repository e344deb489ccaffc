"""Joins the panel to the app: its page, its API, and the check against requests from other sites."""

from __future__ import annotations

from flask import Flask, request

from backend.service.panel import Panel, build_panel
from backend.service.services import Services
from backend.web.panel_jobs import jobs_blueprint
from backend.web.panel_models import models_blueprint
from backend.web.panel_pages import pages_blueprint
from backend.web.panel_requests import refuse_other_sites
from backend.web.panel_tasks import tasks_blueprint


def register_panel(app: Flask, services: Services) -> Panel:
    """Add the panel's routes to the app and return its parts."""
    panel = build_panel(services)
    app.register_blueprint(pages_blueprint())
    for blueprint in (tasks_blueprint(panel), jobs_blueprint(panel), models_blueprint(panel)):
        blueprint.before_request(lambda: refuse_other_sites(request))
        app.register_blueprint(blueprint)
    return panel
