"""Projects that are gone, here or in Label Studio, taken out of service."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from backend.errors import LabelStudioError, LabelStudioGone
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.jobs.requests import JobRequests
from backend.service.predicting.pushing import drop_kept
from backend.service.projects.connections import Connections
from backend.service.projects.projects import Projects, project_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retirement:
    """Takes projects out of service; their versions stay for a grace time."""

    projects: Projects
    connections: Connections
    versions: LoadedVersions
    jobs: JobRequests

    def delete(self, key: str, *, was_missing: bool = False) -> list[str]:
        """Take a project out of service: stop its jobs, forget its connection, keep its versions for a while.

        was_missing: Label Studio did not find it, so hearing of it again puts it back into service. Returns
        the ids of the jobs that were stopped.
        """
        stopped = self._stop_jobs(key)
        self.projects.mark_deleted(key, was_missing=was_missing)
        self.versions.announce(key)
        drop_kept(self.jobs.documents, key)
        logger.info("project %s: deleted; %d jobs stopped, its versions are kept for now", key, len(stopped))
        return stopped

    def delete_if_gone(self, key: str) -> bool:
        """Take a project out of service if Label Studio no longer has it, and tell whether that is so.

        Label Studio sends no notice of a deletion: it shows as a 404 where a job fetches or pushes. That may
        be about a task alone, so the project is asked for by name first.
        """
        try:
            self.connections.label_studio(key).project(project_id(key))
        except LabelStudioGone as exc:
            logger.warning("project %s: %s", key, exc)
            self.delete(key, was_missing=True)
            return True
        except LabelStudioError as exc:
            logger.warning("project %s: whether it still exists cannot be told: %s", key, exc)
        return False

    def _stop_jobs(self, key: str) -> list[str]:
        stopped = []
        for record in self.jobs.queue.records(key):
            if record.is_active:
                self.jobs.queue.request_stop(record.job_id, mode="discard")
                stopped.append(record.job_id)
        return stopped
