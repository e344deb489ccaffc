"""Routes of the ledger: what predictions saved."""

from __future__ import annotations

from backend.errors import LabelConfigError
from backend.service.backend import Backend
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.web.panel import ledger_schemas
from backend.web.panel.refusals import CHANGES
from backend.web.routing import NAMES_PROJECT, Routes


def ledger_routes(backend: Backend) -> Routes:
    """Return the routes of /api/projects/<key>/ledger."""
    routes = Routes("panel_ledger", __name__, tag="ledger", json_only=True)

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @routes.get("/api/projects/<key>/ledger", answer=ledger_schemas.Ledger, refuses=NAMES_PROJECT)
    def show_ledger(key: str) -> Json:
        """Show what annotators did with predictions, by label, version and time, and the hours saved."""
        return backend.ledger.told(canonical(key))

    @routes.post(
        "/api/projects/<key>/ledger", answer=ledger_schemas.Ledger, refuses=(*CHANGES, LabelConfigError)
    )
    def count_ledger(key: str) -> Json:
        """Count the ledger from Label Studio's annotations now."""
        return backend.ledger.count(canonical(key))

    return routes
