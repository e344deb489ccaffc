"""The ledger of a project as a document: an entry for each annotation that began with a prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.core.ledger.acts import Act, Acts
from backend.core.regions.kind import Teaches
from backend.service.ports import DocumentStore, Json


@dataclass(frozen=True)
class Entry:
    """What became of one prediction.

    version: that made it; "" where it is gone. made_at: of the annotation, seconds since the epoch. state: of
    the annotation when it was counted. is_whole: the prediction was there to compare with. accepted_right:
    the share 0..1 of the accepted regions that is expected to be right.
    """

    version: str
    made_at: float
    state: str
    is_whole: bool
    acts: Acts
    accepted_right: float = 1.0

    def as_json(self) -> list[Any]:
        """Return the list that `from_json` reads."""
        rows = [[label, what.name, act.value, n] for (label, what, act), n in self.acts.items()]
        return [self.version, self.made_at, self.state, self.is_whole, rows, self.accepted_right]

    @classmethod
    def from_json(cls, content: list[Any]) -> Entry:
        """Read one entry of a document."""
        version, made_at, state, is_whole, rows, *more = content  # the last one is young
        acts: Acts = Counter({(str(label), Teaches[what], Act(act)): int(n) for label, what, act, n in rows})
        return cls(str(version), float(made_at), str(state), bool(is_whole), acts, *map(float, more))


@dataclass(frozen=True)
class Counted:
    """All entries of a project, by the id of the annotation; counted_at: seconds since the epoch."""

    counted_at: float | None = None
    entries: Mapping[int, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptLedgers:
    """The documents of all projects; every method may raise StoreError."""

    documents: DocumentStore

    def projects(self) -> list[str]:
        """Return the keys of the projects of which something was counted."""
        return sorted(
            {path.split("/")[1] for path in self.documents.list("projects/") if path.endswith(_NAME)}
        )

    def read(self, key: str) -> Counted:
        """Return what was counted last."""
        content: Json | None = self.documents.read(_path(key))
        if content is None:
            return Counted()
        entries = {int(number): Entry.from_json(entry) for number, entry in content["entries"].items()}
        return Counted(content["counted_at"], entries)

    def counted_at(self, key: str) -> float | None:
        """Return when something was counted last, without reading what.

        None where nothing was, or by a release that did not note it beside the entries.
        """
        content = self.documents.read(f"projects/{key}{_MOMENT_NAME}")
        return None if content is None else content["counted_at"]

    def write(self, key: str, counted: Counted) -> None:
        """Replace what was counted."""
        entries = {str(number): entry.as_json() for number, entry in counted.entries.items()}
        # The moment first: until the entries follow, it is another one than theirs, and they are read again.
        self.documents.write(f"projects/{key}{_MOMENT_NAME}", {"counted_at": counted.counted_at})
        self.documents.write(_path(key), {"counted_at": counted.counted_at, "entries": entries})


def _path(key: str) -> str:
    return f"projects/{key}{_NAME}"


_NAME = "/ledger/entries.json"
_MOMENT_NAME = "/ledger/counted_at.json"
