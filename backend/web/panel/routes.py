"""Every route of the panel: its page and its API."""

from __future__ import annotations

from collections.abc import Callable

from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.web.panel.acceptance import acceptance_routes
from backend.web.panel.jobs import jobs_routes
from backend.web.panel.label_next import label_next_routes
from backend.web.panel.ledger import ledger_routes
from backend.web.panel.models import models_routes
from backend.web.panel.pages import pages_routes
from backend.web.panel.reports import reports_routes
from backend.web.panel.second_look import second_look_routes
from backend.web.panel.tasks import tasks_routes
from backend.web.routing import Routes


def panel_routes(backend: Backend, panel: Panel, describe: Callable[[str], Json]) -> list[Routes]:
    """Return the panel's routes; describe: makes the OpenAPI document of a release."""
    return [
        tasks_routes(backend, panel),
        jobs_routes(backend),
        models_routes(backend, panel),
        reports_routes(backend, panel),
        second_look_routes(backend, panel),
        acceptance_routes(backend),
        ledger_routes(backend),
        label_next_routes(backend, panel),
        pages_routes(describe),
    ]
