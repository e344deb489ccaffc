"""The panel's parts, and the projects that it shows."""

from __future__ import annotations

from dataclasses import dataclass

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import BackendError
from backend.service.checks.diagnosis import Diagnosis
from backend.service.panel.label_totals import LabelTotals
from backend.service.panel.live_state import LiveState
from backend.service.panel.page_images import PageImages
from backend.service.panel.review import Review
from backend.service.ports import Json
from backend.service.projects.connections import Connections
from backend.service.projects.last_events import LastEvents
from backend.service.projects.projects import Projects, key_of_project_object, project_id
from backend.service.projects.task_index import TaskIndex


@dataclass(frozen=True)
class Panel:
    """What the panel's routes call."""

    index: TaskIndex
    images: PageImages
    review: Review
    totals: LabelTotals
    live: LiveState
    diagnosis: Diagnosis
    last_events: LastEvents

    def project_changed(self, key: str, *, by_event: bool = False) -> None:
        """Take a hint that something may have changed in Label Studio; by_event: its webhook said so."""
        if by_event:
            self.last_events.note(key)
        self.live.hint(key)


def list_projects(projects: Projects, connections: Connections) -> Json:
    """Return the projects of the connected Label Studio and those known from before, and what is missing.

    Every entry has key, id, title (None where Label Studio cannot be asked) and is_reachable.
    """
    found: dict[str, Json] = {}
    problem: str | None = None
    if connections.url:
        problem = _add_projects(projects, connections, found)
    for key in projects.known():
        if any(project["id"] == project_id(key) for project in found.values()):
            continue
        found[key] = {"key": key, "id": project_id(key), "title": None, "is_reachable": False}
        if not connections.url:
            problem = _ask_title(connections, key, found[key]) or problem
    return {
        "projects": sorted(found.values(), key=lambda project: project["id"]),
        "label_studio": {
            "url": connections.url,
            "has_api_key": connections.api_key is not None,
            "problem": problem if problem or found else _NOTHING_KNOWN,
            "fix": None if found and not problem else _FIX,
        },
    }


def show_project(projects: Projects, connections: Connections, key: str) -> Json:
    """Return title, labels and control tags of a project; what was last known while Label Studio is away."""
    connection = projects.connection(key)
    title, problem, xml = None, None, connection.label_config
    try:
        project = connections.label_studio(key).project(project_id(key))
        title, xml = project.get("title"), str(project.get("label_config") or "")
    except BackendError as exc:
        problem = str(exc)
    labels: list[Json] = []
    controls: list[Json] = []
    try:
        config = parse_label_config(xml or "")
    except BackendError as exc:
        problem = problem or str(exc)
    else:
        labels = [{"label": label, "color": config.colors.get(label)} for label in config.all_labels]
        controls = [
            {
                "name": control.name,
                "kind": control.kind.name,
                "to_name": control.to_name,
                "labels": list(control.labels),
                "is_skipped": control.is_skipped,
            }
            for control in config.controls
        ]
        controls += [
            {
                "name": tag.name,
                "kind": tag.kind.tag,
                "to_name": ",".join(tag.to_names),
                "labels": [] if tag.asked is None else tag.kind.names(tag.asked),
                "is_skipped": tag.is_skipped,
            }
            for tag in config.answers
        ]
    address = connection.hostname or connections.url
    return {
        "key": key,
        "id": project_id(key),
        "title": title,
        "label_studio_url": f"{address.rstrip('/')}/projects/{project_id(key)}/data" if address else None,
        "labels": labels,
        "controls": controls,
        "problem": problem,
        "fix": _FIX if title is None else None,
    }


_NOTHING_KNOWN = "No Label Studio is known to this service yet."
_FIX = (
    "Set LABEL_STUDIO_URL to the address under which this service reaches Label Studio and "
    "LABEL_STUDIO_API_KEY to a personal access token (Account & Settings in Label Studio), then start the "
    "service again. Or connect this service in Label Studio under Settings > Model."
)


def _add_projects(projects: Projects, connections: Connections, found: dict[str, Json]) -> str | None:
    label_studio = connections.configured()
    if label_studio is None:
        return "LABEL_STUDIO_API_KEY is not set, so the projects of Label Studio cannot be listed."
    try:
        listed = label_studio.projects()
    except BackendError as exc:
        return str(exc)
    for project in listed:
        key = projects.canonical(key_of_project_object(project))
        found[key] = {
            "key": key,
            "id": int(project["id"]),
            "title": project.get("title"),
            "is_reachable": True,
        }
    return None


def _ask_title(connections: Connections, key: str, entry: Json) -> str | None:
    try:
        project = connections.label_studio(key).project(project_id(key))
    except BackendError as exc:
        return str(exc)
    entry.update(title=project.get("title"), is_reachable=True)
    return None
