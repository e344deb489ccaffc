"""The tasks of a project as light rows, in memory: lists of thousands scroll, filter and sort at once.

The first page is read while the caller waits; the rest is read behind it by one thread per project. Rows are
read again only after a hint that something changed, and never more often than reading them takes in
proportion.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from cachetools import LRUCache

from backend.core.label_next.usefulness import Useful
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.errors import BackendError, NotFoundError, RequestError
from backend.service.ports import Json, LabelStudio
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

FIRST_PAGE = 100
PAGE = 500
MOST_PROJECTS = 16
LARGEST_WINDOW = 1000
Filter = Literal["all", "annotated", "predicted", "neither"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
Sort = Literal["id", "-id", "score", "-score", "usefulness"]
SORTS: tuple[Sort, ...] = get_args(Sort)
USEFULNESS = "usefulness"
_REST_FACTOR = 4.0
_LEAST_REST_S = 2.0
_PATIENCE_S = 8.0


@dataclass(frozen=True)
class TaskRow:
    """One task of the list.

    data: as Label Studio keeps it; pages: each image of the task. predicted_by: "current" (the version that
    serves), "older", or "" without prediction. score: of the newest known prediction, None where unknown.
    usefulness: what labelling it next is worth, 0..1, and why; None where that was not worked out.
    """

    task_id: int
    name: str
    data: Json
    pages: tuple[TaskPage, ...]
    annotations: int
    predictions: int
    predicted_by: str = ""
    score: float | None = None
    usefulness: float | None = None
    why: str = ""

    @property
    def is_annotated(self) -> bool:
        """Tell whether somebody has annotated the task."""
        return self.annotations > 0


@dataclass(frozen=True)
class LocalPrediction:
    """A prediction that the panel holds for a task and Label Studio does not."""

    version: str
    score: float


@dataclass(frozen=True)
class TaskWindow:
    """Rows `offset` to `offset + len(rows)` of a filtered and sorted list.

    total: rows that pass the filter; counts: rows by filter name; revision grows with every change.
    """

    rows: tuple[TaskRow, ...]
    total: int
    counts: Mapping[str, int]
    is_complete: bool
    revision: int


class TaskIndex:
    """The rows of all projects that were looked at lately; safe to share between threads."""

    def __init__(
        self,
        label_studio_for: Callable[[str], LabelStudio],
        current_version: Callable[[str], str | None],
        local_predictions: Callable[[str], Mapping[int, LocalPrediction]],
        start_thread: Callable[[Callable[[], None]], None] | None = None,
        *,
        useful: Callable[[str], Mapping[int, Useful]] = lambda key: {},
    ) -> None:
        self._label_studio_for = label_studio_for
        self._useful = useful
        self._current_version = current_version
        self._local_predictions = local_predictions
        self._start_thread = start_thread or _start_daemon
        self._lock = threading.Lock()
        self._projects: LRUCache[str, _ProjectRows] = LRUCache(MOST_PROJECTS)

    def window(
        self, key: str, *, show: str = "all", sort: str = "id", offset: int = 0, limit: int = 100
    ) -> TaskWindow:
        """Return a part of the list. Raises LabelStudioError where the first page cannot be read."""
        _check_window(show, sort, offset, limit)
        project = self._opened(key)
        useful = self._useful(key)
        rows = project.ordered(show, "id" if sort == USEFULNESS else sort)
        if sort == USEFULNESS:
            rows = sorted(rows, key=lambda row: _by_usefulness(row, useful))
        return TaskWindow(
            rows=tuple(_with_usefulness(row, useful) for row in rows[offset : offset + limit]),
            total=max(len(rows), project.total) if show == "all" else len(rows),
            counts=project.counts(),
            is_complete=project.is_complete,
            revision=project.revision,
        )

    def ids(self, key: str, *, show: str = "all") -> list[int]:
        """Return the ids of all tasks that pass the filter, in order of id."""
        _check_window(show, "id", 0, 1)
        return [row.task_id for row in self._opened(key).ordered(show, "id")]

    def rows(self, key: str) -> tuple[Sequence[TaskRow], bool]:
        """Return all rows read so far and whether that is all of them."""
        project = self._opened(key)
        return project.ordered("all", "id"), project.is_complete

    def row(self, key: str, task_id: int) -> TaskRow:
        """Return one row, waiting for it while the list is read. Raises NotFoundError if there is none."""
        project = self._opened(key)
        deadline = time.monotonic() + _PATIENCE_S
        while task_id not in project.rows and not project.is_complete and time.monotonic() < deadline:
            time.sleep(0.05)
        found = project.rows.get(task_id)
        if found is None:
            raise NotFoundError(
                f"task {task_id} is not in project {project_id(key)}; it may have been deleted"
            )
        return found

    def revision(self, key: str) -> int:
        """Return the revision of the rows, 0 before anybody looked."""
        with self._lock:
            project = self._projects.get(key)
        return project.revision if project else 0

    def change(self, key: str, task_id: int, changed: Callable[[TaskRow], TaskRow]) -> None:
        """Replace one row by what `changed` makes of it, after an action of ours; reads nothing."""
        with self._lock:
            project = self._projects.get(key)
        if project is not None:
            project.change(task_id, changed)

    def refresh(self, key: str) -> None:
        """Read the rows again in the background; a refresh soon after another waits for its turn."""
        with self._lock:
            project = self._projects.get(key)
        if project is not None and project.may_read_again():
            self._start_thread(lambda: self._read_all(key, project))

    def catch_up(self, key: str) -> None:
        """Start the reading that an earlier `refresh` had to put off, if its time has come."""
        with self._lock:
            project = self._projects.get(key)
        if project is not None and project.wants_reading:
            self.refresh(key)

    def _opened(self, key: str) -> _ProjectRows:
        with self._lock:
            project = self._projects.setdefault(key, _ProjectRows())
        with project.opening:
            if not project.was_opened:
                make_row = self._row_maker(key)
                tasks, total = self._label_studio_for(key).tasks(
                    project_id(key), page=1, page_size=FIRST_PAGE
                )
                rows = [make_row(task) for task in tasks]
                project.start(rows, total)
                if total > len(tasks) or any(row.predictions for row in rows):
                    project.may_read_again()
                    self._start_thread(lambda: self._read_all(key, project))
        if project.wants_reading:
            self.refresh(key)
        return project

    def _read_all(self, key: str, project: _ProjectRows) -> None:
        started = time.monotonic()
        try:
            make_row = self._row_maker(key)
            rows: list[TaskRow] = []
            for task in self._label_studio_for(key).iterate_tasks(project_id(key), page_size=PAGE):
                rows.append(make_row(task))
                if not project.is_complete and len(rows) % PAGE == 0:
                    project.show_partial(rows)
            project.finish(self._with_predictions(key, rows))
        except BackendError as exc:
            logger.warning("project %s: reading the task list stopped: %s", key, exc)
        finally:
            project.end_reading(time.monotonic() - started)

    def _with_predictions(self, key: str, rows: Sequence[TaskRow]) -> list[TaskRow]:
        """Add version and score of the predictions that Label Studio stores; its list tells neither."""
        if not any(row.predictions for row in rows):
            return list(rows)
        label_studio, version = self._label_studio_for(key), self._current_version(key)
        current = label_studio.predicted_task_ids(project_id(key), version) if version else set()
        scores = label_studio.prediction_scores(project_id(key))
        held = self._local_predictions(key)

        def completed(row: TaskRow) -> TaskRow:
            if not row.predictions or row.task_id in held:
                return row
            by = "current" if row.task_id in current else "older"
            return replace(row, predicted_by=by, score=scores.get(row.task_id))

        return [completed(row) for row in rows]

    def _row_maker(self, key: str) -> Callable[[Json], TaskRow]:
        config = parse_label_config(str(self._label_studio_for(key).project(project_id(key))["label_config"]))
        version = self._current_version(key)
        local = self._local_predictions(key)
        return lambda task: _row(task, config, version, local.get(int(task["id"])))


class _ProjectRows:
    """The rows of one project, replaced whole; readers never wait for a reading."""

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self._lock = threading.Lock()
        self.rows: dict[int, TaskRow] = {}
        self.total = 0
        self.revision = 0
        self.was_opened = False
        self.is_complete = False
        self.wants_reading = False
        self._is_reading = False
        self._rest_until = 0.0
        self._orders: dict[tuple[str, str], list[TaskRow]] = {}

    def start(self, rows: Sequence[TaskRow], total: int) -> None:
        with self._lock:
            self._replace(rows)
            self.total, self.was_opened = total, True
            self.is_complete = total <= len(rows)

    def show_partial(self, rows: Sequence[TaskRow]) -> None:
        with self._lock:
            if len(rows) > len(self.rows):
                self._replace(rows)

    def finish(self, rows: Sequence[TaskRow]) -> None:
        with self._lock:
            if {row.task_id: row for row in rows} != self.rows or not self.is_complete:
                self._replace(rows)
            self.total, self.is_complete = len(rows), True

    def change(self, task_id: int, changed: Callable[[TaskRow], TaskRow]) -> None:
        with self._lock:
            if task_id in self.rows:
                self._replace([*({**self.rows, task_id: changed(self.rows[task_id])}).values()])

    def may_read_again(self) -> bool:
        with self._lock:
            if self._is_reading or time.monotonic() < self._rest_until:
                self.wants_reading = True
                return False
            self._is_reading, self.wants_reading = True, False
            return True

    def end_reading(self, seconds: float) -> None:
        with self._lock:
            self._is_reading = False
            self._rest_until = time.monotonic() + max(_LEAST_REST_S, _REST_FACTOR * seconds)

    def ordered(self, show: str, sort: str) -> list[TaskRow]:
        with self._lock:
            if (show, sort) not in self._orders:
                rows = [row for row in self.rows.values() if _passes(row, show)]
                rows.sort(key=_sort_key(sort))
                self._orders[show, sort] = rows
            return self._orders[show, sort]

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {show: len(self.ordered(show, "id")) for show in FILTERS}
        counts["all"] = max(counts["all"], self.total)
        return counts

    def _replace(self, rows: Sequence[TaskRow]) -> None:
        self.rows = {row.task_id: row for row in rows}
        self._orders = {}
        # Of the time, so that a page that stays open sees it grow over a restart, and in every web process.
        self.revision = max(self.revision + 1, int(1000 * time.time()))


def display_name(reference: str) -> str:
    """Return the file name a person would call the image by."""
    if reference.startswith("data:"):
        return "embedded image"
    parts = urlsplit(reference)
    path = parse_qs(parts.query).get("d", [parts.path])[0]
    name = unquote(path.rstrip("/").rpartition("/")[2])
    is_upload = "/data/upload/" in parts.path and len(name) > 9 and name[8] == "-"
    return (name[9:] if is_upload else name) or reference[:80]


def _row(task: Json, config: LabelConfig, version: str | None, local: LocalPrediction | None) -> TaskRow:
    try:
        pages = tuple(task_pages(task, config))
    except BackendError:
        pages = ()
    predictions = int(task.get("total_predictions") or 0)
    predicted_by = "current" if predictions else ""
    if local is not None:
        predicted_by = "current" if local.version == version else predicted_by or "older"
    return TaskRow(
        task_id=int(task["id"]),
        name=display_name(pages[0].reference) if pages else "no image",
        data=dict(task.get("data") or {}),
        pages=pages,
        annotations=int(task.get("total_annotations") or 0),
        predictions=predictions,
        predicted_by=predicted_by,
        score=None if local is None else local.score,
    )


def _passes(row: TaskRow, show: str) -> bool:
    if show == "annotated":
        return row.is_annotated
    if show == "predicted":
        return bool(row.predicted_by)
    return show == "all" or not (row.is_annotated or row.predicted_by)


def _sort_key(sort: str) -> Callable[[TaskRow], tuple[float, float]]:
    sign = -1.0 if sort.startswith("-") else 1.0
    if sort.endswith("id"):
        return lambda row: (0.0, sign * row.task_id)
    # Tasks without a score stand last in both directions.
    return lambda row: (float("inf") if row.score is None else sign * row.score, row.task_id)


def _by_usefulness(row: TaskRow, useful: Mapping[int, Useful]) -> tuple[float, int]:
    """Sort the most useful first; what is annotated by now, or was not ranked, stands last."""
    known = None if row.is_annotated else useful.get(row.task_id)
    return (float("inf") if known is None else -known.usefulness, row.task_id)


def _with_usefulness(row: TaskRow, useful: Mapping[int, Useful]) -> TaskRow:
    known = None if row.is_annotated else useful.get(row.task_id)
    return row if known is None else replace(row, usefulness=known.usefulness, why=known.why)


def _check_window(show: str, sort: str, offset: int, limit: int) -> None:
    if show not in FILTERS:
        raise RequestError(f"show must be one of {', '.join(FILTERS)}, got {show[:80]!r}", field="show")
    if sort not in SORTS:
        raise RequestError(f"sort must be one of {', '.join(SORTS)}, got {sort[:80]!r}", field="sort")
    if offset < 0:
        raise RequestError(f"offset must be 0 or more, got {offset}", field="offset")
    if not 1 <= limit <= LARGEST_WINDOW:
        raise RequestError(f"limit must be 1 to {LARGEST_WINDOW}, got {limit}", field="limit")


def _start_daemon(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="task-index", daemon=True).start()
