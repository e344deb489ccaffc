"""Routes of a project's settings and model versions."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from flask import Blueprint, Response, abort, request, send_file

from backend.errors import ConflictError, NotFoundError, ParameterError, VersionError
from backend.nn.detector.backbone_catalog import catalog_families
from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.service.projects.settings_form import SettingsRefused, change_settings, read_settings
from backend.service.versions.comparison import compare_versions
from backend.web.panel import model_schemas
from backend.web.panel.requests import answer, read_body, read_flag, read_text
from backend.web.problems import problem

_CHUNK_BYTES = 1024 * 1024
_ABANDONED_AFTER_S = 86_400.0


def models_blueprint(backend: Backend, panel: Panel) -> Blueprint:
    """Return the routes of saved values, backbones and versions."""
    blueprint = Blueprint("panel_models", __name__)
    store, versions = backend.models.store, backend.models.loaded

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    def changed(key: str, version: str, status: int = 200) -> Response:
        versions.look_again(key)
        panel.index.refresh(key)
        return answer(
            model_schemas.VersionChanged, {"version": version, "current": versions.current(key)}, status
        )

    def known_card(key: str, version: str) -> Json:
        try:
            return store.card(key, version)
        except VersionError as exc:
            raise NotFoundError(str(exc)) from exc

    @blueprint.get("/api/projects/<key>/settings")
    def settings(key: str) -> Response:
        return answer(model_schemas.SettingsView, read_settings(backend.projects, canonical(key)))

    @blueprint.patch("/api/projects/<key>/settings")
    def save_settings(key: str) -> Response:
        key = canonical(key)
        changes = read_body(request, model_schemas.SettingsBody).model_dump(exclude_unset=True)
        return answer(model_schemas.SettingsView, change_settings(backend.projects, key, changes))

    @blueprint.errorhandler(SettingsRefused)
    def refused(error: SettingsRefused) -> Response:
        return problem(400, str(error), field=error.field, errors=error.errors)

    @blueprint.get("/api/backbones")
    def backbones() -> Response:
        families = [
            {
                "family": family,
                "backbones": [
                    {"name": entry.name, "size": entry.size, "relative_cost": entry.relative_cost}
                    for entry in entries
                ],
            }
            for family, entries in catalog_families().items()
        ]
        return answer(model_schemas.Backbones, {"families": families})

    @blueprint.get("/api/projects/<key>/versions")
    def list_versions(key: str) -> Response:
        key = canonical(key)
        return answer(
            model_schemas.VersionList, {"versions": store.list(key), "current": versions.current(key)}
        )

    @blueprint.post("/api/projects/<key>/versions")
    def import_version(key: str) -> Response:
        key = canonical(key)
        activate = read_flag(request, "activate", True)
        if request.mimetype != "application/octet-stream":
            abort(problem(415, "send the model file as the body with Content-Type: application/octet-stream"))
        with tempfile.TemporaryDirectory(prefix="import-", dir=_scratch(backend.settings.data_dir)) as folder:
            path = Path(folder) / "model"
            _save_body(path, backend.settings.max_model_bytes)
            try:
                version = store.import_file(key, path, activate=activate)
            except VersionError as exc:
                return problem(422, str(exc))
        return changed(key, version, 201)

    @blueprint.get("/api/projects/<key>/versions/compare")
    def compare(key: str) -> Response:
        key = canonical(key)
        before, after = read_text(request, "before"), read_text(request, "after")
        comparison = compare_versions(known_card(key, before), known_card(key, after))
        return answer(model_schemas.Comparison, comparison)

    @blueprint.get("/api/projects/<key>/versions/<version>/file")
    def export_version(key: str, version: str) -> Response:
        key = canonical(key)
        known_card(key, version)
        with tempfile.TemporaryDirectory(prefix="export-", dir=_scratch(backend.settings.data_dir)) as folder:
            path = store.export_file(key, version, Path(folder) / f"{version}.model")
            size_bytes = path.stat().st_size
            # The open file outlives its folder, so nothing is left behind however the download ends.
            file = path.open("rb")
        response = send_file(
            file, mimetype="application/octet-stream", as_attachment=True, download_name=path.name
        )
        response.content_length = size_bytes
        return response

    @blueprint.post("/api/projects/<key>/versions/<version>/activate")
    def activate_version(key: str, version: str) -> Response:
        key = canonical(key)
        known_card(key, version)
        store.activate(key, version)
        return changed(key, version)

    @blueprint.put("/api/projects/<key>/versions/<version>/pin")
    def pin_version(key: str, version: str) -> Response:
        key = canonical(key)
        body = read_body(request, model_schemas.PinBody)
        known_card(key, version)
        store.set_pinned(key, version, body.pinned)
        return changed(key, version)

    @blueprint.delete("/api/projects/<key>/versions/<version>")
    def delete_version(key: str, version: str) -> Response:
        key = canonical(key)
        known_card(key, version)
        if versions.current(key) == version:
            raise ConflictError(f"version {version} serves now; activate another one, then delete it")
        store.delete(key, version)
        return changed(key, version)

    return blueprint


def _scratch(data_dir: Path) -> Path:
    """Return the folder of files that pass through, without what a process that was killed left there."""
    folder = data_dir / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)
    return folder


def _save_body(path: Path, most_bytes: int) -> None:
    """Write the request's body to a file piece by piece; answers 413 beyond the limit, 400 if it is empty."""
    request.max_content_length = None  # the limit of JSON bodies; model files have their own
    written = 0
    with path.open("wb") as file:
        while chunk := request.stream.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > most_bytes:
                abort(problem(413, f"a model file may have {most_bytes} bytes; raise MAX_MODEL_BYTES"))
            file.write(chunk)
    if not written:
        raise ParameterError("the body is empty; send the saved model file", field="body")
