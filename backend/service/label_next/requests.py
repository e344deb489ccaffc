"""Asking for the order of a project's unlabelled pictures, which a worker works out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import NotFoundError, StoreError
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json


@dataclass(frozen=True)
class RankRequest:
    """What a ranking was asked to do; scores_only: bring the stored scores in line, and rank nothing anew."""

    project_key: str
    scores_only: bool = False

    def as_document(self) -> Json:
        """Return the document that `from_document` reads."""
        return {"kind": jobs.RANK, **vars(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RankRequest:
        """Read a request document. Raises KeyError where it is something else."""
        return cls(str(document["project_key"]), bool(document["scores_only"]))


@dataclass(frozen=True)
class RankRequests:
    """Queues rankings; `backend.service.label_next.rank` runs them."""

    jobs: JobRequests

    def request(self, key: str, *, scores_only: bool = False) -> str:
        """Queue a ranking and return its job's id; one for the same that still waits is not doubled.

        Raises QueueError, StoreError.
        """
        request = RankRequest(key, scores_only)
        for record in self.jobs.queue.records(key):
            if record.kind != jobs.RANK or record.status != "queued":
                continue
            try:
                if self.jobs.read(record, RankRequest.from_document) == request:
                    return record.job_id
            except (NotFoundError, StoreError):
                continue  # its request is gone, so it will do nothing
        return self.jobs.submit(jobs.RANK, key, request.as_document())
