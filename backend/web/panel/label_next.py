"""Routes of the order in which a project's pictures are best labelled."""

from __future__ import annotations

from backend.errors import QueueError
from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.web.panel import job_schemas, label_next_schemas, queries
from backend.web.panel.refusals import CHANGES
from backend.web.routing import NAMES_PROJECT, Routes


def label_next_routes(backend: Backend, panel: Panel) -> Routes:
    """Return the routes below /api/projects/<key>/label-next."""
    routes = Routes("panel_label_next", __name__, tag="label next", json_only=True)
    desk = backend.label_next

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    @routes.get("/api/projects/<key>/label-next", answer=label_next_schemas.LabelNext, refuses=NAMES_PROJECT)
    def list_label_next(key: str, query: queries.WindowQuery) -> Json:
        """List unlabelled tasks with their usefulness and why, the most useful first."""
        return desk.listed(canonical(key), offset=query.offset, limit=query.limit)

    @routes.post(
        "/api/projects/<key>/label-next",
        answer=job_schemas.JobCreated,
        status=201,
        refuses=(*CHANGES, QueueError),
    )
    def rank_tasks(key: str) -> Json:
        """Work out anew which unlabelled tasks are worth labelling first, in the background."""
        key = canonical(key)
        backend.connections.label_studio(key)  # refuses here what the worker would refuse later
        return {"job": desk.requests.request(key)}

    @routes.put(
        "/api/projects/<key>/label-next/switch",
        answer=job_schemas.JobCreated,
        refuses=(*CHANGES, QueueError),
    )
    def switch_label_next(key: str, body: label_next_schemas.SwitchBody) -> Json:
        """Hand out tasks by usefulness in Label Studio, or as before."""
        key = canonical(key)
        job_id = desk.switch.turn(key, body.is_on, body.score)
        panel.project_changed(key)
        return {"job": job_id}

    return routes
