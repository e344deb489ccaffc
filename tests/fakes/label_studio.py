"""A Label Studio without HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from backend.errors import LabelStudioGone
from tests.fakes.tasks import RECTANGLES

Json = dict[str, Any]


class FakeLabelStudio:
    """The LabelStudio port: one project with tasks and predictions; `failures` are raised one per call."""

    def __init__(self, tasks: Iterable[Json] = (), label_config: str = RECTANGLES) -> None:
        self.known_tasks = list(tasks)
        self.label_config = label_config
        self.pushed: list[Json] = []
        self.model_version: str | None = None
        self.sampling = "Sequential sampling"
        self.views: dict[int, Json] = {}
        self.failures: list[Exception] = []
        self.is_gone = False
        self.rows_read = 0
        self._ids = itertools.count(1)

    def project(self, project_id: int) -> Json:
        self._check()
        return {
            "id": project_id,
            "label_config": self.label_config,
            "model_version": self.model_version,
            "sampling": self.sampling,
        }

    def projects(self) -> list[Json]:
        self._check()
        return [self.project(7)]

    def export_annotated(self, project_id: int) -> list[Json]:
        self._check()
        return [task for task in self.known_tasks if task.get("annotations")]

    def tasks(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Json], int]:
        self._check()
        start = (page - 1) * page_size
        return self.known_tasks[start : start + page_size], len(self.known_tasks)

    def iterate_tasks(self, project_id: int, *, page_size: int = 500) -> Iterator[Json]:
        self._check()
        yield from self.known_tasks

    def predictions(self, task_id: int) -> list[Json]:
        self._check()
        return [item for item in self.pushed if item["task"] == task_id]

    def predicted_task_ids(
        self, project_id: int, model_version: str, *, among: Sequence[int] | None = None
    ) -> set[int]:
        self._check()
        found = {item["task"] for item in self.pushed if item["model_version"] == model_version}
        if among is not None and not among:
            return set()
        if among is not None:
            found = {task_id for task_id in found if min(among) <= task_id <= max(among)}
        self.rows_read += len(found)
        return found if among is None else found & set(among)

    def import_predictions(self, project_id: int, predictions: Sequence[Json]) -> int:
        self._check()
        known = {task["id"] for task in self.known_tasks}
        stored = [{"id": next(self._ids), **item} for item in predictions if item["task"] in known]
        self.pushed.extend(stored)
        return len(stored)

    def set_model_version(self, project_id: int, model_version: str) -> None:
        self._check()
        self.model_version = model_version

    def set_sampling(self, project_id: int, sampling: str) -> None:
        self._check()
        self.sampling = sampling

    def create_view(self, project_id: int, data: Mapping[str, Any]) -> int:
        self._check()
        view_id = next(self._ids)
        self.views[view_id] = dict(data)
        return view_id

    def delete_view(self, view_id: int) -> None:
        self._check()
        self.views.pop(view_id, None)

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        self._check()
        for item in self.pushed:
            if item["id"] == prediction_id:
                item["score"] = score
                return
        raise LabelStudioGone(f"there is no prediction {prediction_id}")

    def _check(self) -> None:
        if self.is_gone:
            raise LabelStudioGone("project 7 does not exist in Label Studio")
        if self.failures:
            raise self.failures.pop(0)
