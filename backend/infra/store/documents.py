"""Small JSON documents on an object store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.errors import StoreError
from backend.infra.store.objects import ObjectStore

Json = dict[str, Any]
VERSIONS_FOLDER = "versions"


class JsonDocuments:
    """The DocumentStore port; paths are the keys of the store, such as `projects/7/settings.json`.

    Model versions share the store, so whatever lies in a `versions` folder is no document and is not listed.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def read(self, path: str) -> Json | None:
        """Return the document, or None where there is none. Raises StoreError where it is damaged."""
        content = self._objects.get_bytes(path)
        if content is None:
            return None
        try:
            document = json.loads(content)
        except ValueError as exc:
            raise StoreError(f"the document {path} is damaged ({exc}); delete it to start afresh") from exc
        if not isinstance(document, dict):
            raise StoreError(f"the document {path} holds {type(document).__name__}, an object was expected")
        return document

    def write(self, path: str, document: Mapping[str, Any]) -> None:
        """Replace the document."""
        self._objects.put_bytes(path, json.dumps(document).encode())

    def delete(self, path: str) -> None:
        """Remove the document if it is there."""
        self._objects.delete(path)

    def list(self, prefix: str) -> list[str]:
        """Return the paths below a prefix."""
        keys = self._objects.keys(prefix, skipped=VERSIONS_FOLDER)
        return [key for key in keys if key.endswith(".json")]
