"""The DocumentStore port without a disk or a bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        below = sorted(path for path in self.content if path.startswith(folder))
        return [path for path in below if path.endswith(".json") and "/versions/" not in f"/{path}"]
