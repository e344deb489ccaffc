"""Routes of second looks at what is annotated."""

from __future__ import annotations

from backend.errors import QueueError
from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.web.panel import job_schemas, second_look_schemas
from backend.web.panel.refusals import CHANGES
from backend.web.routing import NAMES_PROJECT, Routes


def second_look_routes(backend: Backend, panel: Panel) -> Routes:
    """Return the routes below /api/projects/<key>/second-look."""
    routes = Routes("panel_second_look", __name__, tag="second look", json_only=True)
    desk = backend.second_look

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @routes.get("/api/projects/<key>/second-look", answer=second_look_schemas.Findings, refuses=NAMES_PROJECT)
    def list_findings(key: str, query: second_look_schemas.FindingsQuery) -> Json:
        """List what the last second look found, the likeliest first."""
        return desk.listed(
            canonical(key), kind=query.kind, show=query.show, offset=query.offset, limit=query.limit
        )

    @routes.post(
        "/api/projects/<key>/second-look",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def take_second_look(key: str, body: second_look_schemas.LookBody) -> Json:
        """Second look: compare annotations with what versions find that did not learn from them."""
        key = canonical(key)
        backend.connections.label_studio(key)  # refuses here what the worker would refuse later
        return {"job": desk.requests.request(key, body.images, pushes=body.pushes)}

    @routes.post(
        "/api/projects/<key>/second-look/<finding_id>/take",
        answer=second_look_schemas.Decided,
        refuses=(*CHANGES, QueueError),
    )
    def take_proposal(key: str, finding_id: str) -> Json:
        """Change the annotation as a finding proposes; 409 if it was changed meanwhile."""
        key = canonical(key)
        decided = desk.repairs.take(key, finding_id)
        panel.project_changed(key)
        return decided

    @routes.post(
        "/api/projects/<key>/second-look/<finding_id>/undo",
        answer=second_look_schemas.Decided,
        refuses=(*CHANGES, QueueError),
    )
    def undo_decision(key: str, finding_id: str) -> Json:
        """Take back what was decided about a finding; 409 if the place was edited meanwhile."""
        key = canonical(key)
        decided = desk.repairs.undo(key, finding_id)
        panel.project_changed(key)
        return decided

    @routes.post(
        "/api/projects/<key>/second-look/<finding_id>/dismiss",
        answer=second_look_schemas.Decided,
        refuses=(*CHANGES, QueueError),
    )
    def dismiss_finding(key: str, finding_id: str) -> Json:
        """Let a finding not be listed again, in later looks neither."""
        return desk.repairs.dismiss(canonical(key), finding_id)

    return routes
