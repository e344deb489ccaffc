"""What a person or a script sees of second looks, and may ask for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json
from backend.service.second_look.findings import Finding, KeptFindings
from backend.service.second_look.repairs import Repairs
from backend.service.second_look.requests import LookRequests

OPEN, TAKEN, DISMISSED = "open", "taken", "dismissed"


@dataclass(frozen=True)
class SecondLookDesk:
    """The web's half of second looks."""

    requests: LookRequests
    kept: KeptFindings
    repairs: Repairs
    jobs: JobRequests

    def listed(self, key: str, *, kind: str | None, show: str, offset: int, limit: int) -> Json:
        """Return a part of the findings of the last look, the likeliest first.

        kind: of these alone, None for all. show: OPEN (with those just taken, so that they can be taken
        back), or DISMISSED.
        """
        look = self.kept.look(key)
        findings = () if look is None else look.findings
        taken, dismissed = self.kept.taken(key), self.kept.dismissed(key)
        shown = [one for one in findings if (one.finding_id in dismissed) == (show == DISMISSED)]
        counts = Counter(one.kind.value for one in shown)
        wanted = [one for one in shown if kind is None or one.kind.value == kind]
        return {
            "made_at": None if look is None else look.made_at,
            "version": None if look is None else look.version,
            "images": 0 if look is None else look.images,
            "left_out": 0 if look is None else look.left_out,
            "job": self.jobs.newest(key, jobs.LOOK, "step", "fraction"),
            "counts": dict(counts),
            "dismissed": sum(one.finding_id in dismissed for one in findings),
            "total": len(wanted),
            "offset": offset,
            "findings": [
                _view(one, TAKEN if one.finding_id in taken else show)
                for one in wanted[offset : offset + limit]
            ],
        }


def _view(finding: Finding, state: str) -> Json:
    return {
        "finding_id": finding.finding_id,
        "task_id": finding.task_id,
        "page": finding.page,
        "kind": finding.kind.value,
        "probability": finding.probability,
        "annotation_id": finding.annotation_id,
        "region_id": finding.region_id,
        "labels": list(finding.labels),
        "proposed_label": finding.proposed_label,
        "bounds": list(finding.bounds),
        "drawn": list(finding.drawn),
        "proposed": list(finding.proposed),
        "can_be_taken": finding.correction is not None,
        "state": state,
    }
