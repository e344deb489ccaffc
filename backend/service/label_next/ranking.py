"""Which unlabelled picture of a project is worth labelling how much, as it was worked out last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.core.label_next.usefulness import Useful
from backend.service.label_next.recent import Recent
from backend.service.ports import DocumentStore, Json


@dataclass(frozen=True)
class Ranking:
    """The usefulness of the tasks that had no annotation.

    made_at: seconds since the epoch. version: which one was asked what it doubts; None where none served.
    labelled: how many pictures were labelled then. tasks: by id.
    """

    made_at: float
    version: str | None
    labelled: int
    tasks: Mapping[int, Useful] = field(default_factory=dict)

    def as_json(self) -> Json:
        """Return the document that `from_json` reads."""
        return {
            "made_at": self.made_at,
            "version": self.version,
            "labelled": self.labelled,
            "tasks": {str(i): [one.usefulness, one.why, one.quality] for i, one in self.tasks.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ranking:
        """Read a document."""
        tasks = {
            int(task_id): Useful(float(usefulness), str(why), quality)
            for task_id, (usefulness, why, quality) in content["tasks"].items()
        }
        return cls(float(content["made_at"]), content["version"], int(content["labelled"]), tasks)


class KeptRankings:
    """The last ranking of each project as a document; every method may raise StoreError."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents
        self._recent: Recent[Ranking | None] = Recent()

    def last(self, key: str) -> Ranking | None:
        """Return the last ranking as it is kept now, None where there is none yet; `useful` then knows it."""
        ranking = self._read(key)
        self._recent.put(key, ranking)
        return ranking

    def useful(self, key: str) -> Mapping[int, Useful]:
        """Return the usefulness of tasks by id as of the last seconds, nothing before any ranking."""
        ranking = self._recent.get(key, lambda: self._read(key))
        return {} if ranking is None else ranking.tasks

    def keep(self, key: str, ranking: Ranking) -> None:
        """Replace the last ranking."""
        self._documents.write(_path(key), ranking.as_json())
        self._recent.put(key, ranking)

    def _read(self, key: str) -> Ranking | None:
        content = self._documents.read(_path(key))
        return None if content is None else Ranking.from_json(content)


def folder_of(key: str) -> str:
    """Return below which path the documents of a project's order lie."""
    return f"projects/{key}/label-next/"


def _path(key: str) -> str:
    return f"{folder_of(key)}ranking.json"
