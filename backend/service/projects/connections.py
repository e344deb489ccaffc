"""The Label Studio that a project belongs to: its address, its key, and whether it takes that key."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from backend.errors import LabelStudioAuthError, LabelStudioError
from backend.service.ports import ImageAccess, LabelStudio
from backend.service.projects.documents import ImageCredentials
from backend.service.projects.projects import Projects, project_id

logger = logging.getLogger(__name__)

REMEMBERED_S = 300.0
MOST_REMEMBERED = 1000

Connect = Callable[[str, str], LabelStudio]
"""Makes the API client of a Label Studio from its address and token."""


class Connections:
    """Speaks to the Label Studio of each project; safe to share between threads.

    url and api_key are the settings' own and come first; what `/setup` brought stands in where they are None.
    """

    def __init__(
        self,
        projects: Projects,
        connect: Connect,
        *,
        url: str | None = None,
        api_key: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.api_key = api_key
        self._projects = projects
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._tried: dict[str, tuple[float, bool]] = {}

    def label_studio(self, project_key: str) -> LabelStudio:
        """Return the API of the project's Label Studio.

        Raises LabelStudioAuthError saying whether the address or the key is missing.
        """
        url, token = self._address(project_key)
        if not url:
            raise LabelStudioAuthError(
                f"the address of the Label Studio of project {project_key} is not known; set "
                "LABEL_STUDIO_URL, or connect the model under Settings > Model"
            )
        if not token:
            raise LabelStudioAuthError(
                "there is no key for Label Studio; set LABEL_STUDIO_API_KEY to a personal access token "
                "(Account & Settings in Label Studio)"
            )
        return self._connect(url, token)

    def configured(self) -> LabelStudio | None:
        """Return the API of the Label Studio that the settings name, None where they lack url or api_key."""
        return self._connect(self.url, self.api_key) if self.url and self.api_key else None

    def is_complete(self, project_key: str) -> bool:
        """Tell whether an address and a key are known for the project's Label Studio."""
        return all(self._address(project_key))

    def can_push(self, project_key: str) -> bool:
        """Tell whether predictions of a project can be pushed. A configured key is taken to be right.

        `/setup` always sends its creator's legacy token, which an organization of today refuses. Whoever
        plans to push later has to know before, so the token is tried once and the answer kept for a while.
        """
        if not self.is_complete(project_key):
            return False
        if self.api_key is not None:
            return True
        with self._lock:
            tried = self._tried.get(project_key)
            if tried is not None and self._clock() - tried[0] < REMEMBERED_S:
                return tried[1]
        is_let_in = self._try(project_key)
        with self._lock:
            if len(self._tried) >= MOST_REMEMBERED:
                self._tried.clear()
            self._tried[project_key] = (self._clock(), is_let_in)
        return is_let_in

    def image_access(
        self,
        project_key: str,
        task_id: int | None = None,
        credentials: ImageCredentials | None = None,
    ) -> ImageAccess:
        """Return what fetching a task's images may need; credentials: None for those that are remembered."""
        url, token = self._address(project_key)
        used = credentials or self._projects.connection(project_key).image_credentials
        return ImageAccess(
            hostname=url, token=token, task_id=task_id, login=used.login, password=used.password
        )

    def _try(self, project_key: str) -> bool:
        try:
            self.label_studio(project_key).project(project_id(project_key))
        except LabelStudioError as exc:
            logger.warning("project %s: the token of its connection does not do: %s", project_key, exc)
            return False
        return True

    def _address(self, project_key: str) -> tuple[str | None, str | None]:
        connection = self._projects.connection(project_key)
        return self.url or connection.hostname, self.api_key or connection.access_token
