"""The label statistics of projects, counted anew in the background when Label Studio's counters move."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.errors import BackendError
from backend.service.panel.label_statistics import count_labels
from backend.service.ports import Json, LabelStudio
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

OnTasks = Callable[[str, Sequence[Json], LabelConfig], None]
"""Takes a project's key, its annotated tasks, and its labeling config."""

_COUNTERS = (
    "task_number",
    "total_annotations_number",
    "total_predictions_number",
    "num_tasks_with_annotations",
    "skipped_annotations_number",
    "label_config",
    "model_version",
)
_LEAST_REST_S = 2.0
_REST_FACTOR = 5.0


@dataclass
class _Totals:
    statistics: Json | None = None
    counters: tuple[object, ...] | None = None
    is_counting: bool = False
    wants_counting: bool = False
    rest_until: float = 0.0


class LabelTotals:
    """Statistics by project; one count at a time for each, with a rest in proportion to what it took."""

    def __init__(
        self,
        label_studio_for: Callable[[str], LabelStudio],
        *,
        on_tasks: OnTasks | None = None,
        start_thread: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Take what is told of the annotated tasks whenever they were read."""
        self._on_tasks = on_tasks
        self._label_studio_for = label_studio_for
        self._start_thread = start_thread or _start_daemon
        self._lock = threading.Lock()
        self._projects: dict[str, _Totals] = {}

    def known(self, key: str) -> Json | None:
        """Return what was counted last, None before the first count is done."""
        with self._lock:
            totals = self._projects.get(key)
            return totals.statistics if totals else None

    def is_due(self, key: str) -> bool:
        """Tell whether a count that had to wait for its turn can be made now."""
        with self._lock:
            totals = self._projects.get(key)
            return (
                totals is not None
                and totals.wants_counting
                and not totals.is_counting
                and time.monotonic() >= totals.rest_until
            )

    def refresh(self, key: str, *, is_hinted: bool = False) -> bool:
        """Compare the project's counters with the last ones and count anew if need be; tell if they moved.

        is_hinted: somebody said that an annotation changed, which moves no counter if it was edited.
        Raises LabelStudioError.
        """
        project = self._label_studio_for(key).project(project_id(key))
        counters = tuple(project.get(name) for name in _COUNTERS)
        with self._lock:
            totals = self._projects.setdefault(key, _Totals())
            moved = totals.counters != counters
            totals.counters = counters
            totals.wants_counting = totals.wants_counting or moved or is_hinted
            start = totals.wants_counting and not totals.is_counting and time.monotonic() >= totals.rest_until
            if start:
                totals.is_counting, totals.wants_counting = True, False
        if start:
            config_xml = str(project.get("label_config") or "")
            self._start_thread(lambda: self._count(key, config_xml, totals))
        return moved or is_hinted

    def _count(self, key: str, config_xml: str, totals: _Totals) -> None:
        started = time.monotonic()
        statistics = None
        try:
            tasks = self._label_studio_for(key).export_annotated(project_id(key))
            config = parse_label_config(config_xml)
            statistics = count_labels(tasks, config)
            if self._on_tasks is not None:
                self._on_tasks(key, tasks, config)
        except BackendError as exc:
            logger.warning("project %s: labels were not counted: %s", key, exc)
        finally:
            took_s = time.monotonic() - started
            with self._lock:
                totals.statistics = statistics or totals.statistics
                totals.is_counting = False
                totals.rest_until = time.monotonic() + max(_LEAST_REST_S, _REST_FACTOR * took_s)


def _start_daemon(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="label-totals", daemon=True).start()
