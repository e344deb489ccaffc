"""Stand-ins for what is stored: documents, model versions, prepared images."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import VersionError

Json = dict[str, Any]


class FakeDocuments:
    """The DocumentStore port, in a dict; `failure` is raised by every write while it is set."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}
        self.reads = 0
        self.failure: Exception | None = None

    def read(self, path: str) -> Json | None:
        self.reads += 1
        text = self.content.get(path)
        return None if text is None else json.loads(text)

    def write(self, path: str, document: Mapping[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        self.content[path] = json.dumps(dict(document))

    def delete(self, path: str) -> None:
        self.content.pop(path, None)

    def list(self, prefix: str) -> list[str]:
        return sorted(path for path in self.content if path.startswith(prefix))


class FakeVersionStore:
    """The VersionStore port on a folder, without manifests and checks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cards: dict[tuple[str, str], Json] = {}
        self.serving: dict[str, str] = {}
        self.pinned: set[tuple[str, str]] = set()
        self.failure: Exception | None = None
        self.damaged: list[str] = []

    def problems(self):
        return list(self.damaged)

    def publish(self, project_key, version, folder, card, *, activate):
        if self.failure is not None:
            raise self.failure
        target = self.folder / project_key / version
        if folder is not None and Path(folder).exists():
            shutil.copytree(folder, target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
        self.cards[project_key, version] = {**copy.deepcopy(dict(card)), "version": version}
        if activate or project_key not in self.serving:
            self.serving[project_key] = version

    def list(self, project_key):
        cards = [
            {**card, "pinned": key in self.pinned, "is_current": self.serving.get(key[0]) == key[1]}
            for key, card in self.cards.items()
            if key[0] == project_key
        ]
        return sorted(cards, key=lambda card: card["version"], reverse=True)

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
        (self.pinned.add if pinned else self.pinned.discard)((project_key, version))

    def delete(self, project_key, version):
        if self.serving.get(project_key) == version:
            raise VersionError(f"version {version} serves; activate another one first")
        self.cards.pop((project_key, version))

    def delete_all(self, project_key):
        self.serving.pop(project_key, None)
        self.cards = {key: card for key, card in self.cards.items() if key[0] != project_key}

    def export_file(self, project_key, version, target):
        target.write_text(json.dumps(self.card(project_key, version)))
        return target

    def import_file(self, project_key, source, *, activate):
        card = json.loads(source.read_text())
        self.publish(project_key, card["version"], None, card, activate=activate)
        return card["version"]
