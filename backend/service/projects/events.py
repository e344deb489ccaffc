"""Label Studio's events, taken as hints: something changed in a project, go and look.

They come without a password from anybody who can reach the port, so nothing in them is believed or kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backend.errors import ProjectKeyError
from backend.service.projects.projects import Projects, key_of_project_object

logger = logging.getLogger(__name__)

ANNOTATION_EVENTS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
)
TASK_EVENTS = ("TASKS_CREATED", "TASKS_DELETED")
PROJECT_EVENTS = ("PROJECT_UPDATED",)
KNOWN_EVENTS = (*ANNOTATION_EVENTS, *TASK_EVENTS, *PROJECT_EVENTS)
MOST_PROJECTS = 1000
QUIET_S = 3.0

Listener = Callable[[str, str], None]


@dataclass
class Hint:
    """What was heard of a project since somebody last looked: when, and how many of which event."""

    last_heard: float
    counts: dict[str, int] = field(default_factory=dict)


class EventHints:
    """Counts events per project until they are taken; a burst costs a few additions."""

    def __init__(self, projects: Projects, now: Callable[[], float] = time.time) -> None:
        """now: seconds since the epoch."""
        self._projects = projects
        self._now = now
        self._lock = threading.Lock()
        self._hints: OrderedDict[str, Hint] = OrderedDict()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(project key, action)` for every event; it must return at once."""
        self._listeners.append(listener)

    def note(self, action: str, project: Any, amount: int = 1) -> str:
        """Take an event about so many annotations; returns "ok", or "ignored" for what means nothing.

        project: the project object or id, as the event names it.
        """
        if action not in KNOWN_EVENTS:
            return "ignored"
        try:
            key = self._projects.canonical(key_of_project_object(project))
        except ProjectKeyError:
            return "ignored"
        if key not in self._projects.known():
            return "ignored"  # nobody connected it: a stranger's event must not grow anything here
        self._count(key, action, self._now(), amount)
        return "ok"

    def _count(self, key: str, action: str, now: float, amount: int) -> None:
        with self._lock:
            hint = self._hints.setdefault(key, Hint(now))
            hint.last_heard = now
            hint.counts[action] = hint.counts.get(action, 0) + amount
            self._hints.move_to_end(key)
            if len(self._hints) > MOST_PROJECTS:
                self._hints.popitem(last=False)
        for listener in self._listeners:
            listener(key, action)

    def hand_out(self, *takers: Callable[[str, Hint], None]) -> None:
        """Give the hints of projects that have been quiet for QUIET_S to the takers, who raise nothing."""
        moment = self._now() - QUIET_S
        with self._lock:
            due = {key: hint for key, hint in self._hints.items() if hint.last_heard <= moment}
            for key in due:
                del self._hints[key]
        for key, hint in due.items():
            for take in takers:
                take(key, hint)
