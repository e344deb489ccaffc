"""Whether Label Studio takes the credentials that a connection brought.

`/setup` always sends its creator's legacy token, and an organization of today refuses that. Whoever plans to
push predictions later has to know before, so it is tried once and remembered for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from backend.errors import LabelStudioError
from backend.service.projects.projects import project_id

if TYPE_CHECKING:
    from backend.service.services import Services

logger = logging.getLogger(__name__)

REMEMBERED_S = 300.0
MOST_REMEMBERED = 1000


class Credentials:
    """Remembers per project whether its Label Studio let us in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bool]] = {}

    def can_push(self, services: Services, key: str) -> bool:
        """Tell whether predictions of a project can be pushed. A configured key is taken to be right."""
        if not services.has_label_studio(key):
            return False
        if services.settings.label_studio_api_key is not None:
            return True
        with self._lock:
            known = self._known.get(key)
            if known is not None and self._clock() - known[0] < REMEMBERED_S:
                return known[1]
        is_let_in = self._try(services, key)
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = (self._clock(), is_let_in)
        return is_let_in

    def _try(self, services: Services, key: str) -> bool:
        try:
            services.label_studio(key).project(project_id(key))
        except LabelStudioError as exc:
            logger.warning("project %s: the token of its connection does not do: %s", key, exc)
            return False
        return True
