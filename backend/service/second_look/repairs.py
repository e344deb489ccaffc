"""What a person does with a finding: take the proposal, take that back, dismiss it for good."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass

from backend.core.labelstudio.corrections import Correction, fingerprint
from backend.errors import ConflictError, LabelStudioError, NotFoundError
from backend.service.ports import Json, LabelStudio, Locks
from backend.service.projects.connections import Connections
from backend.service.second_look.findings import Finding, KeptFindings, Look, Taken

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repairs:
    """Decisions about the findings of all projects; threads may share it.

    An annotation is read, changed and written back as a whole, so one person at a time decides about it,
    whichever process each of them reached. Every method may raise QueueError.
    """

    kept: KeptFindings
    connections: Connections
    locks: Locks

    def take(self, key: str, finding_id: str) -> Json:
        """Change the annotation as the finding proposes.

        Raises NotFoundError for a finding that is not listed, ConflictError where the annotation was changed
        or deleted since the look, or nothing is proposed.
        """
        finding = self._finding(key, finding_id)
        if finding.correction is None:
            raise ConflictError("nothing is proposed for this region; open it in Label Studio and repair it")
        with self._alone(key, finding):
            if self.kept.read_taken(key, finding_id) is not None:
                raise ConflictError("this proposal was taken already; undo that first")
            label_studio = self.connections.label_studio(key)
            result = _result_of(label_studio, finding.task_id, finding.annotation_id)
            expected = self.kept.fingerprint(key, finding.annotation_id)
            if fingerprint(result) not in (finding.seen, expected):
                raise ConflictError(
                    f"annotation {finding.annotation_id} of task {finding.task_id} was changed since the "
                    "second look; open it in Label Studio, or take a second look again"
                )
            # Noted first: what was changed can be taken back, however this ends.
            self.kept.write_taken(key, finding_id, Taken(finding.annotation_id, finding.correction))
            try:
                self._change(key, label_studio, finding.annotation_id, result, finding.correction)
            except (LabelStudioError, ConflictError):
                self.kept.write_taken(key, finding_id, None)
                raise
        logger.info("project %s: task %s: proposal %s taken", key, finding.task_id, finding_id)
        return {"finding_id": finding_id, "state": "taken", "annotation_id": finding.annotation_id}

    def undo(self, key: str, finding_id: str) -> Json:
        """Take back what was decided about a finding. Raises ConflictError where the place was edited."""
        finding = self._finding(key, finding_id)
        with self._alone(key, finding):
            taken = self.kept.read_taken(key, finding_id)
            if taken is not None:
                label_studio = self.connections.label_studio(key)
                result = _result_of(label_studio, finding.task_id, taken.annotation_id)
                if fingerprint(result) != finding.seen:  # else it ended before anything was changed
                    self._change(key, label_studio, taken.annotation_id, result, taken.correction.reversed())
                self.kept.write_taken(key, finding_id, None)
            elif finding_id in self.kept.dismissed(key):
                self.kept.undismiss(key, finding)
            else:
                raise NotFoundError("nothing was decided about this finding, so there is nothing to undo")
        return {"finding_id": finding_id, "state": "open", "annotation_id": finding.annotation_id}

    def dismiss(self, key: str, finding_id: str) -> Json:
        """Let a finding not be listed again. Raises ConflictError where its proposal was taken."""
        finding = self._finding(key, finding_id)
        with self._alone(key, finding):
            if self.kept.read_taken(key, finding_id) is not None:
                raise ConflictError("this proposal was taken; undo that first")
            self.kept.dismiss(key, finding)
        return {"finding_id": finding_id, "state": "dismissed", "annotation_id": finding.annotation_id}

    def _alone(self, key: str, finding: Finding) -> AbstractContextManager[None]:
        return self.locks.held(f"annotation:{key}:{finding.annotation_id}")

    def _finding(self, key: str, finding_id: str) -> Finding:
        look: Look | None = self.kept.look(key)
        found = None if look is None else next((f for f in look.findings if f.finding_id == finding_id), None)
        if found is None:
            raise NotFoundError(f"the last second look has no finding {finding_id}; list them again")
        return found

    def _change(
        self, key: str, label_studio: LabelStudio, annotation_id: int, result: list[Json], change: Correction
    ) -> None:
        changed = change.applied(result)
        if changed is None:
            raise ConflictError(
                f"the region was edited meanwhile in annotation {annotation_id}; change it in Label Studio"
            )
        answer = label_studio.update_annotation(annotation_id, changed)
        self.kept.note_fingerprint(key, annotation_id, fingerprint(answer["result"]))


def _result_of(label_studio: LabelStudio, task_id: int, annotation_id: int) -> list[Json]:
    for annotation in label_studio.annotations(task_id):
        if int(annotation["id"]) == annotation_id:
            return list(annotation.get("result") or ())
    raise ConflictError(f"annotation {annotation_id} of task {task_id} was deleted meanwhile")
