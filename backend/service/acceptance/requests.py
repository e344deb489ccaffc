"""Asking for what is accepted by precision; a worker does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import ConflictError, NotFoundError
from backend.service.acceptance.survey import KeptSurveys
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json

SURVEY, ACCEPT, UNDO = "survey", "accept", "undo"


@dataclass(frozen=True)
class AcceptRequest:
    """What a job is to do: a survey, accept at a precision, or undo a batch."""

    project_key: str
    action: str
    precision: float = 0.0
    batch_id: str = ""

    def as_document(self) -> Json:
        """Return the document that `from_document` reads."""
        return {"kind": jobs.ACCEPT, **vars(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> AcceptRequest:
        """Read a request document. Raises KeyError, TypeError or ValueError where it is something else."""
        return cls(
            str(document["project_key"]),
            str(document["action"]),
            float(document["precision"]),
            str(document["batch_id"]),
        )


@dataclass(frozen=True)
class AcceptRequests:
    """Queues what `backend.service.acceptance.work` does."""

    jobs: JobRequests
    versions: LoadedVersions
    kept: KeptSurveys

    def survey(self, key: str) -> str:
        """Queue a survey; return its job's id. Raises ConflictError before any training."""
        if self.versions.current(key) is None:
            raise ConflictError(f"project {key} has no trained model yet; train it first")
        return self._submit(AcceptRequest(key, SURVEY))

    def accept(self, key: str, precision: float) -> str:
        """Queue the acceptance of what the last survey says. Raises ConflictError where it is out of date."""
        survey = self.kept.survey(key)
        if survey is None:
            raise ConflictError("it is not known yet what would be accepted; count first")
        serving = self.versions.current(key)
        if survey.version != serving:
            raise ConflictError(
                f"version {serving or 'none'} serves now, and was counted with {survey.version}; count again"
            )
        return self._submit(AcceptRequest(key, ACCEPT, precision))

    def undo(self, key: str, batch_id: str) -> str:
        """Queue the undoing of a batch. Raises NotFoundError, ConflictError where that is done."""
        batch = next((one for one in self.kept.batches(key) if one.batch_id == batch_id), None)
        if batch is None:
            raise NotFoundError(f"nothing was accepted as {batch_id}")
        if batch.state == "undone":
            raise ConflictError(f"batch {batch_id} was undone already")
        return self._submit(AcceptRequest(key, UNDO, batch_id=batch_id))

    def _submit(self, request: AcceptRequest) -> str:
        return self.jobs.submit(jobs.ACCEPT, request.project_key, request.as_document(), alone=True)
