"""Label Studio's events, taken as hints: something changed in a project, go and look.

They come without a password from anybody who can reach the port, so nothing in them is believed or kept.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backend.errors import ProjectKeyError
from backend.service.projects.projects import key_of_project_object

if TYPE_CHECKING:
    from backend.service.services import Services

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

Listener = Callable[[str, str], None]


@dataclass
class Hint:
    """What was heard of a project since somebody last looked: when, and how many of which event."""

    last_heard: float
    counts: dict[str, int] = field(default_factory=dict)


class EventHints:
    """Counts events per project until they are taken; a burst costs a few additions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hints: OrderedDict[str, Hint] = OrderedDict()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(project key, action)` for every event; it must return at once."""
        self._listeners.append(listener)

    def note(self, key: str, action: str, now: float, amount: int = 1) -> None:
        """Take an event about so many things."""
        with self._lock:
            hint = self._hints.setdefault(key, Hint(now))
            hint.last_heard = now
            hint.counts[action] = hint.counts.get(action, 0) + amount
            self._hints.move_to_end(key)
            if len(self._hints) > MOST_PROJECTS:
                self._hints.popitem(last=False)
        for listener in self._listeners:
            listener(key, action)

    def quiet_since(self, moment: float) -> dict[str, Hint]:
        """Take the hints of the projects that have been quiet since a moment."""
        with self._lock:
            due = {key: hint for key, hint in self._hints.items() if hint.last_heard <= moment}
            for key in due:
                del self._hints[key]
            return due


def note_event(services: Services, action: str, project: Any, amount: int = 1) -> str:
    """Take an event about so many annotations; returns "ok", or "ignored" for what means nothing."""
    if action not in KNOWN_EVENTS:
        return "ignored"
    try:
        key = services.projects.canonical(key_of_project_object(project))
    except ProjectKeyError:
        return "ignored"
    if key not in services.projects.known():
        return "ignored"  # nobody connected it: a stranger's event must not grow anything here
    services.hints.note(key, action, services.now(), amount)
    return "ok"
