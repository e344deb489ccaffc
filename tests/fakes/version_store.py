"""The VersionStore port on a folder."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from backend.core.versions.card import VersionCard, parse_card
from backend.errors import ConflictError, NotFoundError, VersionError
from backend.service.ports import ListedVersion

CARD = "card.json"


class FakeVersionStore:
    """The VersionStore port on a folder, without manifests and checks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cards: dict[tuple[str, str], VersionCard] = {}
        self.serving: dict[str, str] = {}
        self.pinned: set[tuple[str, str]] = set()
        self.failure: Exception | None = None
        self.damaged: list[str] = []
        self._imports = itertools.count(1)

    def problems(self):
        return list(self.damaged)

    def publish(self, project_key, version, folder, card, *, activate):
        if self.failure is not None:
            raise self.failure
        target = self.folder / project_key / version
        if Path(folder).exists():
            shutil.copytree(folder, target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
        self.cards[project_key, version] = replace(card, version=version)
        if activate:
            self.serving[project_key] = version

    def list(self, project_key):
        listed = [
            ListedVersion(card, key in self.pinned, self.serving.get(key[0]) == key[1])
            for key, card in self.cards.items()
            if key[0] == project_key
        ]
        return sorted(listed, key=lambda one: one.card.version, reverse=True)

    def current(self, project_key):
        return self.serving.get(project_key)

    def activate(self, project_key, version):
        self.card(project_key, version)
        self.serving[project_key] = version

    def local_folder(self, project_key, version):
        self.card(project_key, version)
        return self.folder / project_key / version

    def card(self, project_key, version):
        if (project_key, version) not in self.cards:
            raise VersionError(f"project {project_key} has no version {version}")
        return self.cards[project_key, version]

    def set_pinned(self, project_key, version, pinned):
        self.card(project_key, version)
        (self.pinned.add if pinned else self.pinned.discard)((project_key, version))

    def delete(self, project_key, version):
        if (project_key, version) not in self.cards:
            raise NotFoundError(f"project {project_key} has no version {version}")
        if self.serving.get(project_key) == version:
            raise ConflictError(f"version {version} serves now; activate another one before deleting it")
        del self.cards[project_key, version]
        self.pinned.discard((project_key, version))

    def delete_all(self, project_key):
        self.serving.pop(project_key, None)
        self.cards = {key: card for key, card in self.cards.items() if key[0] != project_key}
        self.pinned = {key for key in self.pinned if key[0] != project_key}

    def export_file(self, project_key, version, target):
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr(CARD, json.dumps(self.card(project_key, version).as_json()))
            for path in self.local_folder(project_key, version).iterdir():
                archive.write(path, path.name)
        return target

    def import_file(self, project_key, source, *, activate):
        try:
            with zipfile.ZipFile(source) as archive, tempfile.TemporaryDirectory() as folder:
                card = parse_card(archive.read(CARD))
                archive.extractall(folder, [name for name in archive.namelist() if name != CARD])
                version = f"imported-{next(self._imports)}"
                card = replace(card, imported_from=card.version)
                self.publish(project_key, version, Path(folder), card, activate=activate)
        except zipfile.BadZipFile as exc:
            raise VersionError("the model file is no archive") from exc
        return version
