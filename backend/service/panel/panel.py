"""The panel's parts, made once per process from the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import BackendError, ConflictError
from backend.service.checks.diagnosis import Diagnosis, DiagnosisSources
from backend.service.checks.images import ImageChecks
from backend.service.checks.machine import probe_device
from backend.service.panel.label_totals import LabelTotals
from backend.service.panel.live_state import LiveState
from backend.service.panel.page_images import PageImages
from backend.service.panel.review import Review
from backend.service.ports import ImageAccess, Json
from backend.service.predicting.answer import PredictRequest, predict_tasks
from backend.service.projects.last_events import LastEvents
from backend.service.projects.projects import key_of_project_object, project_id
from backend.service.projects.task_index import LocalPrediction, TaskIndex
from backend.service.services import Services

_SHARE_OF_THREADS = 3


@dataclass(frozen=True)
class Panel:
    """What the panel's routes call."""

    services: Services
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


def build_panel(services: Services) -> Panel:
    """Join the panel's parts; starts nothing."""
    held: dict[str, Review] = {}
    last_events = LastEvents(services.projects, services.now)

    def held_predictions(key: str) -> Mapping[int, LocalPrediction]:
        return held["review"].held_predictions(key)

    def access_for(key: str, task_id: int) -> ImageAccess:
        return services.image_access(key, task_id)

    index = TaskIndex(services.label_studio, services.versions.current, held_predictions)
    review = held["review"] = Review(
        documents=services.documents,
        label_studio_for=services.label_studio,
        predict=lambda key, task, lowest: _predict_one(services, key, task, lowest),
        current_version=services.versions.current,
        index=index,
        clock=services.now,
    )
    totals = LabelTotals(services.label_studio)
    live = LiveState(
        queue=services.queue,
        versions=services.store,
        current_version=services.versions.current,
        index=index,
        totals=totals,
        worker_state=services.queue.worker_state,
        # Every live connection holds a thread; the greater part of them stays free for Label Studio.
        most_watchers=max(1, services.settings.web_threads // _SHARE_OF_THREADS),
        is_leaving=lambda: services.pipeline.is_leaving,
    )
    diagnosis = Diagnosis(
        DiagnosisSources(
            projects=services.projects,
            label_studio_for=services.label_studio,
            images=ImageChecks(services.label_studio, access_for, services.images, index),
            versions=services.store,
            current_version=services.versions.current,
            worker_state=services.queue.worker_state,
            device=probe_device,
            data_dir=services.settings.data_dir,
            configured_url=services.settings.label_studio_url,
            api_key_kind=_key_kind(services.settings.label_studio_api_key),
            last_event_at=last_events.at,
            now=services.now,
        )
    )
    images = PageImages(services.images, index, access_for)
    return Panel(services, index, images, review, totals, live, diagnosis, last_events)


def list_projects(services: Services) -> Json:
    """Return the projects of the connected Label Studio and those known from before, and what is missing.

    Every entry has key, id, title (None where Label Studio cannot be asked) and is_reachable.
    """
    found: dict[str, Json] = {}
    problem: str | None = None
    if services.settings.label_studio_url:
        problem = _add_projects(services, found)
    for key in services.projects.known():
        if any(project["id"] == project_id(key) for project in found.values()):
            continue
        found[key] = {"key": key, "id": project_id(key), "title": None, "is_reachable": False}
        if not services.settings.label_studio_url:
            problem = _ask_title(services, key, found[key]) or problem
    return {
        "projects": sorted(found.values(), key=lambda project: project["id"]),
        "label_studio": {
            "url": services.settings.label_studio_url,
            "has_api_key": services.settings.label_studio_api_key is not None,
            "problem": problem if problem or found else _NOTHING_KNOWN,
            "fix": None if found and not problem else _FIX,
        },
    }


def show_project(services: Services, key: str) -> Json:
    """Return title, labels and control tags of a project; what was last known while Label Studio is away."""
    connection = services.projects.connection(key)
    title, problem, xml = None, None, connection.label_config
    try:
        project = services.label_studio(key).project(project_id(key))
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
    address = connection.hostname or services.settings.label_studio_url
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
    "LABEL_STUDIO_API_KEY to a "
    "personal access token (Account & Settings in Label Studio), then start the service again. Or "
    "connect this "
    "service in Label Studio under Settings > Model."
)


def _add_projects(services: Services, found: dict[str, Json]) -> str | None:
    assert services.settings.label_studio_url is not None
    token = services.settings.label_studio_api_key
    if token is None:
        return "LABEL_STUDIO_API_KEY is not set, so the projects of Label Studio cannot be listed."
    try:
        projects = services.connect(services.settings.label_studio_url, token).projects()
    except BackendError as exc:
        return str(exc)
    for project in projects:
        key = services.projects.canonical(key_of_project_object(project))
        found[key] = {
            "key": key,
            "id": int(project["id"]),
            "title": project.get("title"),
            "is_reachable": True,
        }
    return None


def _ask_title(services: Services, key: str, entry: Json) -> str | None:
    try:
        project = services.label_studio(key).project(project_id(key))
    except BackendError as exc:
        return str(exc)
    entry.update(title=project.get("title"), is_reachable=True)
    return None


def _predict_one(services: Services, key: str, task: Json, lowest_score: float) -> Json | None:
    config_xml = str(services.label_studio(key).project(project_id(key))["label_config"])
    if services.versions.current(key) is None:
        return None
    request = PredictRequest(
        project=key, label_config=config_xml, tasks=[task], params={"confidence_threshold": lowest_score}
    )
    entry = predict_tasks(services, request)[0]
    if isinstance(entry, list):
        entry = entry[0] if entry else {}
    if not entry:
        raise ConflictError(f"task {task['id']} could not be predicted; the service's log says why")
    return entry


def _key_kind(api_key: str | None) -> str | None:
    if api_key is None:
        return None
    return "personal access token" if api_key.count(".") == 2 else "legacy token"
