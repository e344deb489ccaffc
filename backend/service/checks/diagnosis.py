"""Check connection: every link between Label Studio, this service and its machine, and its fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.errors import BackendError, LabelStudioAuthError
from backend.service.checks.check import FAILED, OK, SKIPPED, WARNING, Check
from backend.service.checks.coverage import coverage_checks
from backend.service.checks.images import ImageChecks
from backend.service.checks.machine import MachineChecks
from backend.service.ports import Json
from backend.service.projects.connections import Connections
from backend.service.projects.last_events import LastEvents
from backend.service.projects.projects import Projects, project_id
from backend.service.text.reading import TextState
from backend.service.versions.models import Models


@dataclass(frozen=True)
class Diagnosis:
    """Runs the checks one after the other; a check that breaks is a red line and never stops the next.

    text: what reads the text of regions. now: seconds since the epoch.
    """

    projects: Projects
    connections: Connections
    models: Models
    images: ImageChecks
    last_events: LastEvents
    machine: MachineChecks
    text: TextState
    now: Callable[[], float]

    def run(self, key: str | None) -> list[Check]:
        """Return all checks; those that need a project are left out without one."""
        return [*(self._no_project() if key is None else self._chain(key)), *self.machine.run()]

    def _chain(self, key: str) -> Iterator[Check]:
        """Yield the links to Label Studio, each after the one that it needs."""
        project, reachable = self._label_studio(key)
        yield from reachable
        if project is None:
            return
        yield from self._connection(key, project)
        try:
            config = parse_label_config(str(project.get("label_config")))
        except BackendError as exc:
            yield Check(
                "config",
                "Labeling config",
                FAILED,
                str(exc),
                "Correct it in Label Studio under Settings > Labeling Interface.",
            )
            return
        yield from self._coverage(key, config)
        yield from self.images.run(key)

    def _no_project(self) -> list[Check]:
        if self.connections.url is None:
            return [
                Check(
                    "label_studio",
                    "Label Studio",
                    FAILED,
                    "No Label Studio is known: LABEL_STUDIO_URL is not set and no project was connected.",
                    "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY and start again, or connect this service "
                    "in Label Studio under Settings > Model.",
                )
            ]
        return []

    def _label_studio(self, key: str) -> tuple[Json | None, list[Check]]:
        address = self.connections.url or self.projects.connection(key).hostname or "an unknown address"
        try:
            project = self.connections.label_studio(key).project(project_id(key))
        except LabelStudioAuthError as exc:
            return None, [
                Check("label_studio", "Label Studio reachable", OK, f"{address} answers"),
                Check(
                    "token",
                    "Token",
                    FAILED,
                    str(exc),
                    "Make a personal access token on Label Studio's account page and start this service with "
                    "LABEL_STUDIO_API_KEY set to it. Or allow legacy tokens under Organization > API Tokens.",
                ),
            ]
        except BackendError as exc:
            return None, [
                Check(
                    "label_studio",
                    "Label Studio reachable",
                    FAILED,
                    f"{address}: {exc}",
                    "Set LABEL_STUDIO_URL to the address under which this service reaches Label Studio, and "
                    "LABEL_STUDIO_API_KEY to a token. Inside a container, localhost is the container itself.",
                )
            ]
        return project, [
            Check("label_studio", "Label Studio reachable", OK, f"{address} answers"),
            self._token(key),
        ]

    def _token(self, key: str) -> Check:
        kind = _key_kind(self.connections.api_key)
        source = "LABEL_STUDIO_API_KEY" if kind else "the token that Label Studio sent on connecting"
        try:
            self.connections.label_studio(key).tasks(project_id(key), page=1, page_size=1)
        except BackendError as exc:
            return Check(
                "token",
                "Token",
                FAILED,
                f"{source} may not read the tasks: {exc}",
                "Use the token of a user who is a member of the project.",
            )
        if kind is None:
            return Check(
                "token",
                "Token",
                WARNING,
                f"{source} works now",
                "It is a legacy token of the project's creator and stops working when legacy tokens are "
                "switched off; set LABEL_STUDIO_API_KEY to a personal access token.",
            )
        return Check("token", "Token", OK, f"{source} is a {kind} and may read the project")

    def _connection(self, key: str, project: Json) -> Iterator[Check]:
        label_studio = self.connections.label_studio(key)
        try:
            backends = label_studio.ml_backends(project_id(key))
            hooks = label_studio.webhooks(project_id(key))
        except BackendError as exc:
            yield Check("connected", "Connected as a model", SKIPPED, f"cannot be asked: {exc}")
            return
        yield from _model_checks(backends)
        yield from self._webhook(key, backends, hooks)
        yield from self._same_version(key, project, backends)

    def _webhook(self, key: str, backends: Sequence[Json], hooks: Sequence[Json]) -> Iterator[Check]:
        wanted = {str(backend.get("url", "")).rstrip("/") + "/webhook" for backend in backends}
        present = [
            hook for hook in hooks if str(hook.get("url", "")) in wanted and hook.get("is_active", True)
        ]
        if not backends:
            return
        if not present:
            yield Check(
                "webhook",
                "Local addresses allowed, webhook set",
                FAILED,
                "Label Studio has no active webhook to this service, so it will not tell of new labels.",
                "Start Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false. With the "
                "first alone a model connects, but its webhook is refused. Then remove the model and add it "
                "again.",
            )
            return
        seen_at = self.last_events.at(key)
        if seen_at is None:
            yield Check(
                "webhook",
                "Webhook seen",
                WARNING,
                "The webhook is set; no event of this project has come yet.",
                "Save an annotation in Label Studio, then check again.",
            )
        else:
            ago = _ago(self.now() - seen_at)
            yield Check("webhook", "Webhook seen", OK, f"Events of this project arrive; the last one {ago}.")

    def _same_version(self, key: str, project: Json, backends: Sequence[Json]) -> Iterator[Check]:
        serving = self.models.loaded.serving(key)
        if serving is None:
            yield Check("version", "Versions equal", SKIPPED, "There is no trained model yet.")
            return
        shown = str(project.get("model_version") or "")
        known = {str(backend.get("model_version") or "") for backend in backends}
        heard = ", ".join(sorted(known)) or "none"
        if backends and serving not in known:
            yield Check(
                "version",
                "Versions equal",
                WARNING,
                f"This service serves {serving}, Label Studio last heard of {heard}.",
                "Open Settings > Model in Label Studio; it asks for the version again then.",
            )
        elif shown != serving:
            yield Check(
                "version",
                "Versions equal",
                WARNING,
                f"Label Studio knows {serving}, but the project shows scores of {shown or 'no version'}.",
                "Press Predict All: once every unlabelled task is predicted, the project's version is set, "
                "and scores and sampling by uncertainty work.",
            )
        else:
            yield Check("version", "Versions equal", OK, f"Service, model and project all say {serving}.")

    def _coverage(self, key: str, config: LabelConfig) -> Iterator[Check]:
        version = self.models.loaded.current(key)
        if version is None:
            yield from coverage_checks(config, None, self.text)
            return
        try:
            card = self.models.store.card(key, version)
        except BackendError as exc:
            yield Check(
                "labels", "Labels", FAILED, str(exc), "Activate another version under Save / Load Model."
            )
            return
        yield from coverage_checks(config, card, self.text)


def _model_checks(backends: Sequence[Json]) -> Iterator[Check]:
    if not backends:
        yield Check(
            "connected",
            "Connected as a model",
            WARNING,
            "Label Studio has no model in this project.",
            "Add this service's address under Settings > Model.",
        )
        return
    broken = [backend for backend in backends if backend.get("state") not in ("CO", None)]
    if broken:
        yield Check(
            "connected",
            "Connected as a model",
            FAILED,
            f"Label Studio says of {broken[0].get('url')}: {_first_line(broken[0].get('error_message'))}",
            "Open Settings > Model, correct the address or the user and password, and save.",
        )
    else:
        yield Check("connected", "Connected as a model", OK, ", ".join(str(b.get("url")) for b in backends))


def _first_line(message: Any) -> str:
    text = str(message or "not connected").strip()
    return text.splitlines()[0][:200] if text else "not connected"


def _ago(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return "a moment ago"
    return f"{minutes} minutes ago" if minutes < 120 else f"{round(minutes / 60)} hours ago"


def _key_kind(api_key: str | None) -> str | None:
    if api_key is None:
        return None
    return "personal access token" if api_key.count(".") == 2 else "legacy token"
