"""Routes that accept what is right often enough, and take that back."""

from __future__ import annotations

from backend.errors import QueueError
from backend.service.backend import Backend
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.web.panel import acceptance_schemas, job_schemas
from backend.web.panel.refusals import CHANGES
from backend.web.routing import NAMES_PROJECT, Routes


def acceptance_routes(backend: Backend) -> Routes:
    """Return the routes below /api/projects/<key>/acceptance."""
    routes = Routes("panel_acceptance", __name__, tag="accept by precision", json_only=True)
    desk = backend.acceptance

    def reachable(key: str) -> str:
        key = backend.projects.canonical(parse_project_key(key))
        backend.connections.label_studio(key)  # refuses here what the worker would refuse later
        return key

    @routes.get(
        "/api/projects/<key>/acceptance", answer=acceptance_schemas.AcceptanceView, refuses=NAMES_PROJECT
    )
    def show_acceptance(key: str, query: acceptance_schemas.PrecisionQuery) -> Json:
        """Show what would be accepted at a precision, with how many mistakes, and what was."""
        return desk.shown(backend.projects.canonical(parse_project_key(key)), query.precision)

    @routes.post(
        "/api/projects/<key>/acceptance/count",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def count_acceptance(key: str) -> Json:
        """Count what could be accepted: predict every task without annotation, in the background."""
        return {"job": desk.requests.survey(reachable(key))}

    @routes.post(
        "/api/projects/<key>/acceptance/accept",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def accept_by_precision(key: str, body: acceptance_schemas.PrecisionBody) -> Json:
        """Accept, in the background, every task whose regions are all right that often."""
        return {"job": desk.requests.accept(reachable(key), body.precision)}

    @routes.post(
        "/api/projects/<key>/acceptance/batches/<batch_id>/undo",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def undo_batch(key: str, batch_id: str) -> Json:
        """Delete, in the background, the annotations of a batch that nobody has edited since."""
        return {"job": desk.requests.undo(reachable(key), batch_id)}

    return routes
