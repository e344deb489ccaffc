"""Asking for a second look that a worker takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import ConflictError
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.jobs import jobs
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json

UNSEEN, ALL = "unseen", "all"
"""At which annotated images to look: those that the serving version did not learn from, or all of them, with
versions that are trained for it."""


@dataclass(frozen=True)
class LookRequest:
    """What a second look was asked to do; pushes: store what it finds as predictions too."""

    project_key: str
    images: str = UNSEEN
    pushes: bool = False

    def as_document(self) -> Json:
        """Return the document that `from_document` reads."""
        return {"kind": jobs.LOOK, **vars(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LookRequest:
        """Read a request document. Raises KeyError or TypeError where it is something else."""
        return cls(str(document["project_key"]), str(document["images"]), bool(document["pushes"]))


@dataclass(frozen=True)
class LookRequests:
    """Queues second looks; `backend.service.second_look.look` takes them."""

    jobs: JobRequests
    versions: LoadedVersions

    def request(self, key: str, images: str, *, pushes: bool) -> str:
        """Queue a second look and return its job's id.

        Raises ConflictError while one of the project waits or runs, and for the unseen images before any
        training; QueueError, StoreError.
        """
        if images == UNSEEN and self.versions.current(key) is None:
            raise ConflictError(
                f"project {key} has no trained model yet that could look; train it first, or look at all "
                "images with versions trained for it"
            )
        request = LookRequest(key, images, pushes).as_document()
        return self.jobs.submit(jobs.LOOK, key, request, alone=True)
