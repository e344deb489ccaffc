"""What the last second look at a project found, and what people decided about it, as documents.

Each decision is a document of its own, so that two people who work side by side overwrite nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.labelstudio.corrections import Correction
from backend.core.second_look.kinds import SuspicionKind
from backend.service.ports import DocumentStore, Json

MOST_FINDINGS = 2000
SAME_PLACE_IOU = 0.5


@dataclass(frozen=True)
class Finding:
    """One place of one annotation that may be wrong.

    page: number of the image in its task. probability: that something is wrong, 0..1. region_id: the region
    that is doubted, None for a missing object. labels: those it has. proposed_label: the one that it, or the
    missing object, should have. bounds: of the place, x1, y1, x2, y2 as shares of the image's sides.
    drawn: the region's results as they stood. proposed: results to draw beside them. correction: what taking
    the proposal does; None where that cannot be told, as of two regions with one id. seen: fingerprint of the
    annotation's results.
    """

    finding_id: str
    task_id: int
    page: int
    kind: SuspicionKind
    probability: float
    annotation_id: int
    region_id: str | None
    labels: tuple[str, ...]
    proposed_label: str | None
    bounds: tuple[float, float, float, float]
    drawn: tuple[Json, ...]
    proposed: tuple[Json, ...]
    correction: Correction | None
    seen: str

    def as_json(self) -> Json:
        """Return the object that `from_json` reads."""
        correction = self.correction
        return {
            **vars(self),
            "kind": self.kind.value,
            "labels": list(self.labels),
            "bounds": list(self.bounds),
            "drawn": list(self.drawn),
            "proposed": list(self.proposed),
            "correction": None
            if correction is None
            else {"removed": list(correction.removed), "added": list(correction.added)},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Finding:
        """Read one finding of a document."""
        correction = content["correction"]
        x1, y1, x2, y2 = (float(value) for value in content["bounds"])
        return cls(
            **{
                **content,
                "kind": SuspicionKind(content["kind"]),
                "labels": tuple(content["labels"]),
                "bounds": (x1, y1, x2, y2),
                "drawn": tuple(content["drawn"]),
                "proposed": tuple(content["proposed"]),
                "correction": None
                if correction is None
                else Correction(tuple(correction["removed"]), tuple(correction["added"])),
            }
        )


def finding_id(task_id: int, page: int, kind: SuspicionKind, place: str) -> str:
    """Return the id of a finding; place: the region, or where the missing object is."""
    text = f"{task_id} {page} {kind.value} {place}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Look:
    """One second look at a project.

    made_at: seconds since the epoch. version: which one looked; None where versions were made for it alone.
    images: how many were compared. left_out: how many findings beyond MOST_FINDINGS are not listed.
    """

    made_at: float
    version: str | None
    images: int
    findings: tuple[Finding, ...] = field(default=())
    left_out: int = 0

    def as_json(self) -> Json:
        """Return the document that `from_json` reads."""
        return {**vars(self), "findings": [finding.as_json() for finding in self.findings]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Look:
        """Read a document."""
        return cls(**{**content, "findings": tuple(Finding.from_json(one) for one in content["findings"])})


@dataclass(frozen=True)
class Taken:
    """A proposal that was taken: what it did to which annotation."""

    annotation_id: int
    correction: Correction

    def as_json(self) -> Json:
        """Return the document that `from_json` reads."""
        removed, added = self.correction.removed, self.correction.added
        return {"annotation_id": self.annotation_id, "removed": list(removed), "added": list(added)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Taken:
        """Read a document."""
        correction = Correction(tuple(content["removed"]), tuple(content["added"]))
        return cls(int(content["annotation_id"]), correction)


@dataclass(frozen=True)
class KeptFindings:
    """The documents of all projects; every method may raise StoreError."""

    documents: DocumentStore

    def look(self, key: str) -> Look | None:
        """Return the last look at a project."""
        content = self.documents.read(f"{_folder(key)}look.json")
        return None if content is None else Look.from_json(content)

    def keep(self, key: str, look: Look) -> None:
        """Replace the last look; proposals of the one before can no longer be taken back.

        Cut off in the middle there is none, rather than an old one that has forgotten what was taken.
        """
        self.documents.delete(f"{_folder(key)}look.json")
        for path in self.documents.list(f"{_folder(key)}taken/"):
            self.documents.delete(path)
        self.documents.write(f"{_folder(key)}look.json", look.as_json())

    def dismissed(self, key: str) -> set[str]:
        """Return the ids of findings that nobody wants to see again."""
        return _names(self.documents.list(f"{_folder(key)}dismissed/"))

    def dismiss(self, key: str, finding: Finding) -> None:
        """Let a finding not be listed again, in later looks neither."""
        content = {
            "task_id": finding.task_id,
            "page": finding.page,
            "kind": finding.kind.value,
            "label": finding.proposed_label,
            "bounds": list(finding.bounds),
        }
        self.documents.write(f"{_folder(key)}dismissed/{finding.finding_id}.json", content)

    def undismiss(self, key: str, finding: Finding) -> None:
        """List a finding again."""
        self.documents.delete(f"{_folder(key)}dismissed/{finding.finding_id}.json")

    def taken(self, key: str) -> set[str]:
        """Return the ids of findings whose proposal was taken."""
        return _names(self.documents.list(f"{_folder(key)}taken/"))

    def read_taken(self, key: str, finding_id: str) -> Taken | None:
        """Return what taking a proposal did."""
        content = self.documents.read(f"{_folder(key)}taken/{finding_id}.json")
        return None if content is None else Taken.from_json(content)

    def write_taken(self, key: str, finding_id: str, taken: Taken | None) -> None:
        """Note that a proposal was taken, or with None that it was taken back."""
        path = f"{_folder(key)}taken/{finding_id}.json"
        if taken is None:
            self.documents.delete(path)
        else:
            self.documents.write(path, taken.as_json())

    def fingerprint(self, key: str, annotation_id: int) -> str | None:
        """Return the fingerprint that an annotation had after our last change of it."""
        content = self.documents.read(f"{_folder(key)}changed/{annotation_id}.json")
        return None if content is None else str(content["fingerprint"])

    def note_fingerprint(self, key: str, annotation_id: int, fingerprint: str) -> None:
        """Note what an annotation is like after our change of it."""
        self.documents.write(f"{_folder(key)}changed/{annotation_id}.json", {"fingerprint": fingerprint})

    def without_dismissed(self, key: str, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings without those that were dismissed.

        A missing object was, where one of its label was dismissed at the same place, though a version never
        finds it at exactly the same place again.
        """
        dismissed = self.dismissed(key)
        missing: dict[tuple[int, int, str | None], list[Json]] = {}
        for name in dismissed:
            content = self.documents.read(f"{_folder(key)}dismissed/{name}.json")
            if content is not None and content["kind"] == SuspicionKind.MISSING_OBJECT.value:
                place = content["task_id"], content["page"], content["label"]
                missing.setdefault(place, []).append(content["bounds"])
        return [
            finding
            for finding in findings
            if finding.finding_id not in dismissed
            and not (
                finding.kind is SuspicionKind.MISSING_OBJECT
                and _overlaps(
                    finding.bounds, missing.get((finding.task_id, finding.page, finding.proposed_label), ())
                )
            )
        ]


def _overlaps(bounds: Sequence[float], others: Sequence[Any]) -> bool:
    if not others:
        return False
    iou = box_iou(np.array([bounds], np.float32), np.array(others, np.float32).reshape(-1, 4))
    return bool(iou.max() >= SAME_PLACE_IOU)


def _folder(key: str) -> str:
    return f"projects/{key}/second-look/"


def _names(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[2].removesuffix(".json") for path in paths}
