"""Routes of a project's settings and model versions."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flask import Response, request, send_file
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from backend.core.versions.card import VersionCard
from backend.errors import (
    ConflictError,
    NotFoundError,
    ParameterError,
    RequestError,
    StoreError,
    VersionError,
)
from backend.nn.detector.backbone_catalog import catalog_families
from backend.service.backend import Backend
from backend.service.panel.panel import Panel
from backend.service.ports import Json
from backend.service.projects.projects import parse_project_key
from backend.service.projects.settings_form import change_settings as save_settings
from backend.service.projects.settings_form import read_settings
from backend.service.versions.catalog import VersionCatalog
from backend.service.versions.comparison import compare_versions
from backend.web.panel import model_schemas, queries
from backend.web.routing import FILE_TYPE, NAMES_PROJECT, Routes

_CHUNK_BYTES = 1024 * 1024
_ABANDONED_AFTER_S = 86_400.0


def models_routes(backend: Backend, panel: Panel) -> Routes:
    """Return the routes of saved values, backbones and versions."""
    routes = Routes("panel_models", __name__, tag="versions", json_only=True)
    store, versions = backend.models.store, backend.models.loaded
    catalog = VersionCatalog(backend.projects, backend.models)

    def canonical(key: str) -> str:
        return backend.projects.canonical(parse_project_key(key))

    def changed(key: str, version: str) -> Json:
        versions.announce(key)
        panel.index.refresh(key)
        return {"version": version, "current": versions.serving(key)}

    def known_card(key: str, version: str) -> VersionCard:
        try:
            return catalog.card(key, version)
        except VersionError as exc:
            raise NotFoundError(str(exc)) from exc

    def stored_card(key: str, version: str) -> VersionCard:
        if version == backend.models.zero_shot.name:
            raise NotFoundError(
                f"{version} is no file of this project; unset ZERO_SHOT_MODEL to be without it"
            )
        return known_card(key, version)

    @routes.get(
        "/api/projects/<key>/settings",
        tag="settings",
        answer=model_schemas.SettingsView,
        refuses=NAMES_PROJECT,
    )
    def show_settings(key: str) -> Json:
        """Show saved values, the values a training would use now, and what each may be."""
        return read_settings(backend.projects, canonical(key))

    @routes.patch(
        "/api/projects/<key>/settings",
        tag="settings",
        answer=model_schemas.SettingsView,
        refuses=NAMES_PROJECT,
    )
    def change_settings(key: str, body: model_schemas.SettingsBody) -> Json:
        """Save values as defaults of every later training; nothing is saved if one is wrong."""
        return save_settings(backend.projects, canonical(key), body.model_dump(exclude_unset=True))

    @routes.get("/api/backbones", tag="settings", answer=model_schemas.Backbones)
    def list_backbones() -> Json:
        """List the backbones by family."""
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
        return {"families": families}

    @routes.get("/api/projects/<key>/versions", answer=model_schemas.VersionList, refuses=NAMES_PROJECT)
    def list_versions(key: str) -> Json:
        """List the cards of all model versions."""
        key = canonical(key)
        listed = [version.as_json() for version in catalog.list(key)]
        return {"versions": listed, "current": versions.serving(key)}

    @routes.post(
        "/api/projects/<key>/versions",
        takes_file=True,
        answer=model_schemas.VersionChanged,
        status=201,
        refuses=(*NAMES_PROJECT, ConflictError, VersionError),
        statuses={VersionError: 422},
    )
    def import_version(key: str, query: queries.ImportQuery) -> Json:
        """Load Existing Model: take a saved file, check that it fits, and let it serve."""
        key = canonical(key)
        if request.mimetype != FILE_TYPE:
            raise UnsupportedMediaType(f"send the model file as the body with Content-Type: {FILE_TYPE}")
        with _passing_through(backend.settings.data_dir, "import-") as folder:
            path = folder / "model"
            _save_body(path, backend.settings.max_model_bytes)
            version = store.import_file(key, path, activate=query.activate)
        return changed(key, version)

    @routes.get(
        "/api/projects/<key>/versions/compare",
        answer=model_schemas.Comparison,
        refuses=(*NAMES_PROJECT, NotFoundError),
    )
    def compare_two_versions(key: str, query: queries.CompareQuery) -> Json:
        """Compare two versions, class by class."""
        key = canonical(key)
        return compare_versions(known_card(key, query.before), known_card(key, query.after)).as_json()

    @routes.get(
        "/api/projects/<key>/versions/<version>/file",
        content_type=FILE_TYPE,
        refuses=(*NAMES_PROJECT, NotFoundError),
    )
    def export_version(key: str, version: str) -> Response:
        """Save Trained Model: the version as one file."""
        key = canonical(key)
        stored_card(key, version)
        with _passing_through(backend.settings.data_dir, "export-") as folder:
            path = store.export_file(key, version, folder / f"{version}.model")
            size_bytes = path.stat().st_size
            # The open file outlives its folder, so nothing is left behind however the download ends.
            file = path.open("rb")
        response = send_file(file, mimetype=FILE_TYPE, as_attachment=True, download_name=path.name)
        response.content_length = size_bytes
        return response

    @routes.post(
        "/api/projects/<key>/versions/<version>/activate",
        answer=model_schemas.VersionChanged,
        refuses=(*NAMES_PROJECT, NotFoundError, VersionError),
    )
    def activate_version(key: str, version: str) -> Json:
        """Let a version serve."""
        key = canonical(key)
        known_card(key, version)
        catalog.activate(key, version)
        return changed(key, version)

    @routes.put(
        "/api/projects/<key>/versions/<version>/pin",
        answer=model_schemas.VersionChanged,
        refuses=(*NAMES_PROJECT, NotFoundError),
    )
    def pin_version(key: str, version: str, body: model_schemas.PinBody) -> Json:
        """Keep a version however old it gets."""
        key = canonical(key)
        stored_card(key, version)
        store.set_pinned(key, version, body.pinned)
        return changed(key, version)

    @routes.delete(
        "/api/projects/<key>/versions/<version>",
        answer=model_schemas.VersionChanged,
        refuses=(*NAMES_PROJECT, NotFoundError, ConflictError),
    )
    def delete_version(key: str, version: str) -> Json:
        """Delete a version that does not serve."""
        key = canonical(key)
        stored_card(key, version)
        if version in {versions.current(key), store.current(key)}:
            raise ConflictError(f"version {version} serves now; activate another one, then delete it")
        store.delete(key, version)
        return changed(key, version)

    return routes


@contextmanager
def _passing_through(data_dir: Path, prefix: str) -> Iterator[Path]:
    """Lend a folder for a file that passes through. Raises StoreError where the disk is full."""
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=_scratch(data_dir)) as folder:
            yield Path(folder)
    except OSError as exc:
        raise StoreError(
            f"the model file cannot pass through DATA_DIR ({exc.strerror or exc}); make room there, then try "
            "again"
        ) from exc


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
    """Write the request's body to a file piece by piece.

    Answers 413 beyond the limit, and 400 if the body is empty or ends before its Content-Length.
    """
    too_large = RequestEntityTooLarge(f"a model file may have {most_bytes} bytes; raise MAX_MODEL_BYTES")
    if (request.content_length or 0) > most_bytes:
        raise too_large
    # Instead of the limit of JSON bodies, and one more: a body that reaches its limit is not read to its end.
    request.max_content_length = most_bytes + 1
    written = 0
    with path.open("wb") as file:
        while chunk := _next_chunk(written):
            written += len(chunk)
            if written > most_bytes:
                raise too_large
            file.write(chunk)
    # gunicorn ends a body of which less came without an error.
    if written < (request.content_length or 0):
        raise _broken_off(written)
    if not written:
        raise ParameterError("the body is empty; send the saved model file", field="body")


def _next_chunk(written: int) -> bytes:
    """Return the next bytes of the body, none at its end. Raises RequestError where the sender left."""
    try:
        return request.stream.read(_CHUNK_BYTES)
    except (OSError, ClientDisconnected) as exc:  # of the connection: nothing here touches the disk
        raise _broken_off(written) from exc


def _broken_off(written: int) -> RequestError:
    expected = "" if request.content_length is None else f" of {request.content_length}"
    return RequestError(
        f"the upload broke off after {written}{expected} bytes, and nothing was imported; send the file again"
    )
