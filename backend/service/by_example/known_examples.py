"""Which examples a project has, without asking Label Studio more often than needed.

Annotations change while somebody labels, and every `/setup` and `/predict` wants to know. One reading at a
time runs for a project, behind whoever asks; it looks at the project's counters, and reads the annotations
only where those differ, after an event, or after a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import BackendError
from backend.service.by_example.examples import Examples, examples_of
from backend.service.ports import LabelStudio
from backend.service.projects.connections import Connections
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
READ_AGAIN_AFTER_S = 60.0
"""Counters do not tell of a region that was moved, where no webhook does."""
REST_FACTOR = 4.0
"""So many times as long as a reading took, none follows, event or not."""
MOST_PROJECTS = 200
_COUNTERS = ("total_annotations_number", "num_tasks_with_annotations", "skipped_annotations_number")


@dataclass
class _Known:
    examples: Examples | None = None
    counters: Any = None
    is_hinted: bool = False
    read_at: float = float("-inf")
    rest_until: float = float("-inf")
    looking: Future[None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class KnownExamples:
    """The examples of projects, at most seconds old; threads may share it."""

    def __init__(
        self,
        connections: Connections,
        start: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """start: runs a look at Label Studio, in a thread or at once."""
        self._connections = connections
        self._start = start
        self._clock = clock
        self._lock = threading.Lock()
        self._projects: dict[str, _Known] = {}

    def of(self, project_key: str, wait_s: float) -> Examples | None:
        """Return the project's examples; what was known before where a look takes longer than wait_s."""
        known = self._known(project_key)
        looking = self._look_where_due(project_key, known)
        if looking is not None:
            try:
                looking.result(timeout=wait_s)
            except FutureTimeout:
                logger.info("project %s: its labels are still being read", project_key)
        return known.examples

    def known(self, project_key: str) -> Examples | None:
        """Return what was seen last, without a look."""
        return self._known(project_key).examples

    def hint(self, project_key: str) -> None:
        """Take note that annotations changed; costs nothing until somebody asks."""
        known = self._known(project_key)
        with known.lock:
            known.is_hinted = True

    def _known(self, project_key: str) -> _Known:
        with self._lock:
            if project_key not in self._projects and len(self._projects) >= MOST_PROJECTS:
                self._projects.pop(next(iter(self._projects)))
            return self._projects.setdefault(project_key, _Known())

    def _look_where_due(self, project_key: str, known: _Known) -> Future[None] | None:
        with known.lock:
            if known.looking is not None:
                return known.looking
            if self._clock() < known.rest_until:
                return None
            future: Future[None] = Future()
            known.looking = future
            is_hinted, known.is_hinted = known.is_hinted, False
        self._start(lambda: self._look(project_key, known, future, is_hinted))
        return future

    def _look(self, project_key: str, known: _Known, future: Future[None], is_hinted: bool) -> None:
        started = self._clock()
        try:
            self._read(project_key, known, is_hinted)
        except BackendError as exc:
            logger.info(
                "project %s: its labels cannot be read for predictions by example: %s", project_key, exc
            )
        except Exception:  # the thread's border: whoever waits must be let go
            logger.exception("project %s: reading its labels failed", project_key)
        finally:
            took_s = self._clock() - started
            with known.lock:
                known.looking = None
                known.rest_until = self._clock() + max(LOOK_EVERY_S, REST_FACTOR * took_s)
            future.set_result(None)

    def _read(self, project_key: str, known: _Known, is_hinted: bool) -> None:
        label_studio: LabelStudio = self._connections.label_studio(project_key)
        number = project_id(project_key)
        project = label_studio.project(number)
        counters = [project.get(name) for name in _COUNTERS] + [project.get("label_config")]
        is_fresh = self._clock() - known.read_at < READ_AGAIN_AFTER_S
        if counters == known.counters and is_fresh and not is_hinted:
            return
        xml = str(project["label_config"])
        config = parse_label_config(xml)
        is_bare = project.get("num_tasks_with_annotations") == 0
        tasks = [] if is_bare or not config.labels else label_studio.export_annotated(number)
        known.examples = examples_of(tasks, xml, config)
        known.counters, known.read_at = counters, self._clock()
