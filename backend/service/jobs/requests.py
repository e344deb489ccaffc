"""Jobs and what they were asked to do: the queue holds ids, the request documents hold everything else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from backend.errors import NotFoundError, QueueError, StoreError
from backend.service.ports import DocumentStore, JobQueue, JobRecord, Json

_Request = TypeVar("_Request")


@dataclass(frozen=True)
class JobRequests:
    """The queue, and the documents beside it."""

    queue: JobQueue
    documents: DocumentStore

    def submit(self, kind: str, project_key: str, request: Mapping[str, Any], *, alone: bool = False) -> str:
        """Store a request, queue its job as `JobQueue.enqueue` does, return the job's id.

        Raises StoreError, QueueError, and ConflictError where it is to be alone and is not.
        """
        return self._submit(request, lambda path: self.queue.enqueue(kind, project_key, path, alone=alone))

    def submit_training(self, project_key: str, request: Mapping[str, Any], *, follow_up: bool) -> str:
        """Store a training's request and queue it as `JobQueue.enqueue_training` does; return its id."""
        return self._submit(
            request,
            lambda path: self.queue.enqueue_training(project_key, path, follow_up=follow_up),
        )

    def read(self, record: JobRecord, parse: Callable[[Json], _Request]) -> _Request:
        """Return the request of a job as `parse` reads its document.

        Raises NotFoundError where it was cleared away, StoreError where it cannot be read.
        """
        document = self.documents.read(record.payload_path)
        if document is None:
            raise NotFoundError(
                f"the request of job {record.job_id} is gone ({record.payload_path}); start it anew"
            )
        try:
            return parse(document)
        except (KeyError, TypeError, ValueError) as exc:
            raise StoreError(
                f"the request of job {record.job_id} cannot be read ({exc!r}); start it anew"
            ) from exc

    def rewrite(self, record: JobRecord, request: Mapping[str, Any]) -> None:
        """Replace the request document of a job. Raises StoreError."""
        self.documents.write(record.payload_path, request)

    def _submit(self, request: Mapping[str, Any], enqueue: Callable[[str], str]) -> str:
        path = write_request(self.documents, request)
        try:
            return enqueue(path)
        except Exception:
            self.documents.delete(path)
            raise

    def newest(self, key: str, kind: str, *progress: str) -> Json | None:
        """Return a project's newest job of a kind in short, with these of its progress.

        None where there is none, and while Redis is away.
        """
        try:
            records = self.queue.records(key)
        except QueueError:
            return None
        newest = next((one for one in records if one.kind == kind), None)
        if newest is None:
            return None
        return {
            "job_id": newest.job_id,
            "status": newest.status,
            "is_active": newest.is_active,
            **{name: newest.progress.get(name) for name in progress},
            "error": newest.error,
        }


def write_request(documents: DocumentStore, request: Mapping[str, Any]) -> str:
    """Store the request of a job that is about to be queued and return its path. Raises StoreError."""
    path = f"jobs/{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}/request.json"
    documents.write(path, request)
    return path
