"""Predictions that the panel asked for: held by us, since they go further down than what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.service.ports import DocumentStore, Json
from backend.service.projects.task_index import LocalPrediction


@dataclass(frozen=True)
class HeldPredictions:
    """At most one prediction per task, as documents."""

    documents: DocumentStore

    def read(self, key: str, task_id: int) -> Json | None:
        """Return the prediction of a task, None where none is held."""
        return self.documents.read(_path(key, task_id))

    def write(self, key: str, task_id: int, prediction: Json) -> None:
        """Hold a prediction in place of the one before. Raises StoreError."""
        self.documents.write(_path(key, task_id), prediction)

    def delete(self, key: str, task_id: int) -> bool:
        """Let a prediction go; tell whether there was one."""
        path = _path(key, task_id)
        was_held = self.documents.read(path) is not None
        self.documents.delete(path)
        return was_held

    def of_project(self, key: str) -> Mapping[int, LocalPrediction]:
        """Return version and score of every prediction that is held for a project, by task id."""
        held = {}
        for path in self.documents.list(_folder(key)):
            document = self.documents.read(path)
            if document is not None:
                held[int(document["task_id"])] = LocalPrediction(document["model_version"], document["score"])
        return held


def _folder(key: str) -> str:
    return f"panel/{key}/predictions/"


def _path(key: str, task_id: int) -> str:
    return f"{_folder(key)}{task_id}.json"
