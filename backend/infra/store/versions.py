"""Model versions of all projects on an object store: published whole, verified before use, cleared when old.

projects/<key>/versions/<version>/   the files of one version (`backend.infra.store.version_files`)
projects/<key>/current.json          {"version": which one serves}
projects/<key>/pins/<version>        empty; keeps that version
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.core.versions.card import VersionCard, parse_card
from backend.core.versions.names import version_name
from backend.errors import ConflictError, NotFoundError, ProjectKeyError, StoreError, VersionError
from backend.infra.store.objects import ObjectStore
from backend.infra.store.version_cache import VersionCache, signature
from backend.infra.store.version_files import (
    CARD,
    KNOWN_FILES,
    MANIFEST,
    describe_files,
    extract_archive,
    parse_manifest,
    validate_archive,
    verify_folder,
    write_archive,
)
from backend.service.ports import ListedVersion
from backend.written_whole import written_whole

logger = logging.getLogger(__name__)

Names = list[str]  # inside the class, `list` is the method
PROJECT_KEY = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
VERSION_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
DAMAGE_TTL_S = 30.0
REPORTED_FOR_S = 600.0
MAX_REMEMBERED = 10_000
GIB = 1024**3


class StoredVersions:
    """The VersionStore of `backend.service.ports`.

    cache_folder: where versions of a remote store are unpacked, at most cache_bytes of them. keep_versions:
    how many of the newest stay, besides pinned ones and the one that serves. max_import_bytes bounds an
    imported file.
    """

    def __init__(
        self,
        objects: ObjectStore,
        cache_folder: Path,
        *,
        keep_versions: int = 5,
        cache_bytes: int = 10 * GIB,
        max_import_bytes: int = 2 * GIB,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._cache = VersionCache(objects, cache_folder, cache_bytes)
        self._keep_versions = keep_versions
        self._max_import_bytes = max_import_bytes
        self._clock = clock
        self._lock = threading.RLock()
        self._verified: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
        self._damaged: dict[tuple[str, str], tuple[float, str]] = {}

    def publish(
        self, project_key: str, version: str, folder: Path, card: VersionCard, *, activate: bool
    ) -> None:
        """Store the files of `folder` and the card as `version`; make it current if asked."""
        files: dict[str, Path | bytes] = {
            name: folder / name for name in KNOWN_FILES - {CARD} if (folder / name).is_file()
        }
        self._store(project_key, version, files, card)
        if activate:
            self.activate(project_key, version)
        self._clear_old(project_key)

    def list(self, project_key: str) -> list[ListedVersion]:
        """Return all readable versions, newest first."""
        current = self.current(project_key)
        pinned = self._pinned(project_key)
        listed = []
        for version in self._names(project_key):
            with contextlib.suppress(VersionError):
                card = self.card(project_key, version)
                listed.append(ListedVersion(card, version in pinned, version == current))
        return listed

    def current(self, project_key: str) -> str | None:
        """Return the version that serves now; the newest good one where that is missing or damaged."""
        content = self._objects.get_bytes(f"{_project_prefix(project_key)}/current.json")
        pointed: Any = None
        with contextlib.suppress(ValueError, AttributeError):
            pointed = json.loads(content or b"{}").get("version")
        if (
            isinstance(pointed, str)
            and VERSION_NAME.fullmatch(pointed)
            and self._is_good(project_key, pointed)
        ):
            return pointed
        if content is None:
            return None
        for version in self._names(project_key):
            if version != pointed and self._is_good(project_key, version):
                logger.error("project %s: %s is damaged or gone, %s serves", project_key, pointed, version)
                return version
        return None

    def activate(self, project_key: str, version: str) -> None:
        """Make `version` the one that serves."""
        self._check(project_key, version)
        key = f"{_project_prefix(project_key)}/current.json"
        self._objects.put_bytes(key, json.dumps({"version": version}).encode())
        logger.info("project %s: version %s serves now", project_key, version)

    def local_folder(self, project_key: str, version: str) -> Path:
        """Return a local folder with the version's files, fetched and verified if need be."""
        folder = self._objects.local_path(_version_prefix(project_key, version))
        if folder is not None:
            self._verify(project_key, version, folder)
            return folder
        folder = self._fetch(project_key, version)
        try:
            self._verify(project_key, version, folder)
        except VersionError:
            # The copy on this disk is damaged; the store may still have it whole.
            self._cache.drop(project_key, version)
            folder = self._fetch(project_key, version)
            self._verify(project_key, version, folder)
        return folder

    def card(self, project_key: str, version: str) -> VersionCard:
        """Return the version's card."""
        content = self._objects.get_bytes(f"{_version_prefix(project_key, version)}/{CARD}")
        if content is None:
            raise VersionError(
                f"project {project_key} has no version {version}; `versions` lists those it has"
            )
        return replace(parse_card(content), version=version)

    def set_pinned(self, project_key: str, version: str, pinned: bool) -> None:
        """Keep the version out of, or give it back to, the clearing of old ones."""
        self._manifest(project_key, version)
        key = f"{_project_prefix(project_key)}/pins/{version}"
        if pinned:
            self._objects.put_bytes(key, b"pinned")
        else:
            self._objects.delete(key)

    def delete(self, project_key: str, version: str) -> None:
        """Delete a version that does not serve."""
        prefix = _version_prefix(project_key, version)
        if version not in self._names(project_key):
            raise NotFoundError(
                f"project {project_key} has no version {version}; `versions` lists those it has"
            )
        if version == self.current(project_key):
            raise ConflictError(f"version {version} serves now; activate another one before deleting it")
        self._objects.delete(prefix)
        self._objects.delete(f"{_project_prefix(project_key)}/pins/{version}")
        self._cache.drop(project_key, version)

    def delete_all(self, project_key: str) -> None:
        """Delete every version of a project that is gone, pinned and serving ones too."""
        prefix = _project_prefix(project_key)
        for part in ("current.json", "pins", "versions"):
            self._objects.delete(f"{prefix}/{part}")
        self._cache.drop(project_key)

    def export_file(self, project_key: str, version: str, target: Path) -> Path:
        """Write the version as one file and return its path."""
        folder = self.local_folder(project_key, version)
        try:
            names = self._manifest(project_key, version)
            with written_whole(target) as part:
                write_archive(part, version, {name: folder / name for name in names})
        except OSError as exc:
            raise StoreError(f"cannot write the model file: {exc.strerror or exc}") from exc
        return target

    def import_file(self, project_key: str, source: Path, *, activate: bool) -> str:
        """Validate an exported file, store it under a new name and return that."""
        _project_prefix(project_key)
        card = self.inspect_file(source)
        version = version_name(time.time(), secrets.token_hex(2))
        card = replace(card, imported_at=time.time(), imported_from=card.version or None)
        with self._cache.temporary_folder() as folder:
            self._store(project_key, version, dict(extract_archive(source, folder)), card)
        if activate:
            self.activate(project_key, version)
        self._clear_old(project_key)
        return version

    def inspect_file(self, source: Path) -> VersionCard:
        """Validate an exported file and return its card; nothing is stored. Raises VersionError."""
        try:
            return validate_archive(source, self._max_import_bytes)
        except OSError as exc:
            raise VersionError(f"the model file cannot be read: {exc.strerror or exc}") from exc

    def problems(self) -> Names:
        """Return a sentence for each damaged version that was met in the last minutes."""
        with self._lock:
            since = self._clock() - REPORTED_FOR_S
            self._damaged = {key: noted for key, noted in self._damaged.items() if noted[0] > since}
            return [
                f"project {project}, version {version}: {reason}"
                for (project, version), (_, reason) in sorted(self._damaged.items())
            ]

    def projects(self) -> Names:
        """Return the keys of all projects that have versions or documents."""
        return [name for name in self._objects.names("projects") if PROJECT_KEY.fullmatch(name)]

    def _store(
        self, project_key: str, version: str, files: dict[str, Path | bytes], card: VersionCard
    ) -> None:
        prefix = _version_prefix(project_key, version)
        # The card names its version, because that name goes into predictions, also of an imported model.
        named = replace(card, version=version)
        files[CARD] = json.dumps(named.as_json(), ensure_ascii=False, indent=1).encode()
        try:
            manifest = describe_files(version, files)
        except OSError as exc:
            raise StoreError(f"cannot read the new version's files: {exc.strerror or exc}") from exc
        parse_manifest(json.dumps(manifest).encode())
        files[MANIFEST] = json.dumps(manifest, indent=1).encode()
        self._objects.put_folder(prefix, files, last=MANIFEST)

    def _is_good(self, project_key: str, version: str) -> bool:
        try:
            self._check(project_key, version)
        except VersionError:
            return False
        return True

    def _check(self, project_key: str, version: str) -> None:
        """Verify what can be verified without fetching a remote version; remembers damage."""
        identity = (project_key, version)
        with self._lock:
            damage = self._damaged.get(identity)
        if damage is not None and self._clock() - damage[0] < DAMAGE_TTL_S:
            raise VersionError(damage[1])
        folder = self._objects.local_path(_version_prefix(project_key, version))
        try:
            if folder is not None:
                self._verify(project_key, version, folder)
            else:
                self._check_remote(project_key, version)
        except VersionError as exc:
            self._note_damage(identity, str(exc))
            raise
        with self._lock:
            self._damaged.pop(identity, None)

    def _check_remote(self, project_key: str, version: str) -> None:
        prefix = _version_prefix(project_key, version)
        for name, (length, _) in self._manifest(project_key, version).items():
            came = self._objects.size_bytes(f"{prefix}/{name}")
            if came != length:
                raise VersionError(f"{name} has {came or 0} bytes, its manifest says {length}")

    def _note_damage(self, identity: tuple[str, str], reason: str) -> None:
        with self._lock:
            self._damaged[identity] = (self._clock(), reason)
            self._verified.pop(identity, None)

    def _manifest(self, project_key: str, version: str) -> dict[str, tuple[int, str]]:
        content = self._objects.get_bytes(f"{_version_prefix(project_key, version)}/{MANIFEST}")
        if content is None:
            raise VersionError(
                f"project {project_key} has no complete version {version}; `versions` lists those it has"
            )
        return parse_manifest(content)

    def _verify(self, project_key: str, version: str, folder: Path) -> None:
        """Compare a local folder with its manifest; files that did not change since are not read again."""
        identity = (project_key, version)
        manifest = self._manifest(project_key, version)
        seen = signature(folder, manifest)
        with self._lock:
            if seen is not None and self._verified.get(identity) == seen:
                return
        try:
            verify_folder(folder, manifest)
        except VersionError as exc:
            self._note_damage(identity, str(exc))
            raise
        with self._lock:
            if len(self._verified) >= MAX_REMEMBERED:
                self._verified.clear()
            if seen is not None:
                self._verified[identity] = seen
            self._damaged.pop(identity, None)

    def _fetch(self, project_key: str, version: str) -> Path:
        prefix = _version_prefix(project_key, version)
        try:
            return self._cache.fetch(project_key, version, prefix, self._manifest(project_key, version))
        except VersionError as exc:
            self._note_damage((project_key, version), str(exc))
            raise

    def _names(self, project_key: str) -> Names:
        names = self._objects.names(f"{_project_prefix(project_key)}/versions")
        return sorted((name for name in names if VERSION_NAME.fullmatch(name)), reverse=True)

    def _pinned(self, project_key: str) -> set[str]:
        return set(self._objects.names(f"{_project_prefix(project_key)}/pins"))

    def _clear_old(self, project_key: str) -> None:
        kept = self._pinned(project_key) | {self.current(project_key)}
        for version in self._names(project_key)[self._keep_versions :]:
            if version not in kept:
                self._objects.delete(_version_prefix(project_key, version))
                logger.info("project %s: version %s is old and was deleted", project_key, version)


def _project_prefix(project_key: str) -> str:
    if not PROJECT_KEY.fullmatch(project_key):
        raise ProjectKeyError(f"a project is `7` or `7.1763750000`, got {project_key[:80]!r}")
    return f"projects/{project_key}"


def _version_prefix(project_key: str, version: str) -> str:
    if not VERSION_NAME.fullmatch(version):
        raise VersionError(f"a version is named like 20261121-204455-3f2a, got {version[:80]!r}")
    return f"{_project_prefix(project_key)}/versions/{version}"
