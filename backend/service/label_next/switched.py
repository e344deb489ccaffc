"""Whether a project's pictures are handed out by their usefulness, and what Label Studio had before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.service.label_next.ranking import folder_of
from backend.service.label_next.recent import Recent
from backend.service.ports import DocumentStore, Json

USEFULNESS, QUALITY = "usefulness", "quality"
"""What the score of a prediction carries: 1 - usefulness, as Label Studio hands out the lowest score first,
or how sure the version is of its prediction."""


@dataclass(frozen=True)
class Switched:
    """The switch of one project.

    score: USEFULNESS or QUALITY. sampling_before: the project's, to be restored. view_id: of the tab that was
    made in the Data Manager. has_written: stored predictions carry usefulness. marks: before any training,
    tasks got empty predictions that carry it, and the project's model version was model_version_before.
    """

    is_on: bool = False
    score: str = USEFULNESS
    sampling_before: str | None = None
    view_id: int | None = None
    has_written: bool = False
    marks: bool = False
    model_version_before: str | None = None

    @property
    def writes_usefulness(self) -> bool:
        """Tell whether predictions are to carry usefulness."""
        return self.is_on and self.score == USEFULNESS

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Switched:
        """Read a document; what it lacks has its default."""
        return cls(**{name: content[name] for name in cls.__dataclass_fields__ if name in content})

    def as_json(self) -> Json:
        """Return the document that `from_json` reads."""
        return dict(vars(self))


class KeptSwitches:
    """The switches of all projects as documents; every method may raise StoreError."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents
        self._recent: Recent[Switched] = Recent()

    def read(self, key: str) -> Switched:
        """Return a project's switch as it stands now, off where it was never touched.

        Who changes it reads it so: what another process wrote a moment ago must not be overwritten.
        """
        return Switched.from_json(self._documents.read(_path(key)) or {})

    def read_recent(self, key: str) -> Switched:
        """Return a project's switch as it stood within the last seconds, for every prediction to ask."""
        return self._recent.get(key, lambda: self.read(key))

    def write(self, key: str, switched: Switched) -> None:
        """Replace a project's switch."""
        self._documents.write(_path(key), switched.as_json())
        self._recent.put(key, switched)


def _path(key: str) -> str:
    return f"{folder_of(key)}switch.json"
