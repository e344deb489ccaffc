"""Label Studio's HTTP API, as far as labels, predictions and projects need it.

Plain requests and not the SDK's client: that takes seconds to import and parses every task into models.
Reading tasks never makes Label Studio ask for predictions (`GET /api/tasks/<id>/` would).
Source: Label Studio 1.23.2.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.errors import LabelStudioError, LabelStudioGone
from backend.infra.labelstudio.http import (
    RETRY_WAITS_S,
    InvalidError,
    LabelStudioConnection,
    UnsureError,
)

logger = logging.getLogger(__name__)

Json = dict[str, Any]
EXPORT_TIMEOUT_FACTOR = 10
SCORES_PER_PAGE = 1000
PUSH_COUNT = 100
PUSH_BYTES = 8 * 1024 * 1024


class LabelStudioApi:
    """The LabelStudio of `backend.service.ports`. Threads may share one.

    timeout_s: how long Label Studio may be silent. ca_bundle: certificates to trust, not the built-in ones.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 60.0,
        ca_bundle: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._http = LabelStudioConnection(url, token, timeout_s=timeout_s, ca_bundle=ca_bundle, sleep=sleep)

    def project(self, project_id: int) -> Json:
        """Return the project (label_config, model_version, created_at, counters, ...)."""
        return self._object("GET", f"/api/projects/{int(project_id)}/")

    def projects(self) -> list[Json]:
        """Return all projects the credentials can see."""
        found: list[Json] = []
        while True:
            page = {"page": len(found) // 100 + 1, "page_size": 100}
            answer = self._object("GET", "/api/projects/", params=page)
            found += _objects(answer.get("results"))
            if not answer.get("next") or not answer.get("results"):
                return found

    def export_annotated(self, project_id: int) -> list[Json]:
        """Return every task that has an annotation, with its annotations."""
        path = f"/api/projects/{int(project_id)}/export"
        answer = self._http.call(
            "GET", path, params={"exportType": "JSON"}, timeout_s=self._timeout_s * EXPORT_TIMEOUT_FACTOR
        )
        return _objects(answer)

    def tasks(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Json], int]:
        """Return one page (from 1) of tasks with data and counters, and the total number of tasks."""
        try:
            answer = self._task_page(project_id, [], page, page_size)
        except LabelStudioGone:
            # A page behind the last one is a 404 as well; only the project's own answer tells them apart.
            self.project(project_id)
            return [], int(self._task_page(project_id, [], 1, 1)["total"])
        return _objects(answer.get("tasks")), int(answer.get("total", 0))

    def iterate_tasks(self, project_id: int, *, page_size: int = 500) -> Iterator[Json]:
        """Yield every task in order of id; never triggers a prediction in Label Studio."""
        yield from self._iterate(project_id, [], page_size)

    def annotations(self, task_id: int) -> list[Json]:
        """Return the annotations of a task."""
        return _objects(self._http.call("GET", f"/api/tasks/{int(task_id)}/annotations/"))

    def create_annotation(self, task_id: int, result: Sequence[Json], **fields: Any) -> Json:
        """Create an annotation and return it."""
        body = {**fields, "result": list(result)}
        return self._object("POST", f"/api/tasks/{int(task_id)}/annotations/", body=body)

    def update_annotation(self, annotation_id: int, result: Sequence[Json]) -> Json:
        """Replace the results of an annotation and return it."""
        return self._object("PATCH", f"/api/annotations/{int(annotation_id)}/", body={"result": list(result)})

    def delete_annotation(self, annotation_id: int) -> None:
        """Delete an annotation."""
        self._http.call("DELETE", f"/api/annotations/{int(annotation_id)}/")

    def predictions(self, task_id: int) -> list[Json]:
        """Return the predictions stored for a task."""
        return _objects(self._http.call("GET", "/api/predictions/", params={"task": int(task_id)}))

    def predicted_task_ids(
        self, project_id: int, model_version: str, *, among: Sequence[int] | None = None
    ) -> set[int]:
        """Return the ids of the tasks that already have a prediction of this version, of all or of some.

        Only tasks between the least and the greatest of the ids are read.
        """
        named = _condition("predictions_model_versions", "contains", "List", [model_version])
        if among is None:
            return {task["id"] for task in self._iterate(project_id, [named], 1000)}
        if not among:
            return set()
        up_to_last = _condition("id", "less", "Number", max(among) + 1)
        tasks = self._iterate(project_id, [up_to_last, named], 1000, after=min(among) - 1)
        return {task["id"] for task in tasks} & set(among)

    def prediction_scores(self, project_id: int) -> dict[int, float]:
        """Return the mean prediction score of the tasks that have one, as Label Studio's own list shows it.

        Nothing where the project has Label Studio ask for predictions whenever its list is read.
        """
        if self.project(project_id).get("evaluate_predictions_automatically"):
            return {}
        scores: dict[int, float] = {}
        page = 1
        while True:
            predicted = _condition("total_predictions", "greater", "Number", 0)
            # Only a column that the list is sorted by is worked out for it.
            query = {
                "filters": {"conjunction": "and", "items": [predicted]},
                "ordering": ["tasks:predictions_score"],
            }
            params = {
                "project": int(project_id),
                "page": page,
                "page_size": SCORES_PER_PAGE,
                "query": json.dumps(query),
                "resolve_uri": "false",
            }
            answer = self._object("GET", "/api/tasks/", params=params)
            tasks = _objects(answer.get("tasks"))
            found = {task["id"]: task.get("predictions_score") for task in tasks}
            scores.update({task_id: float(score) for task_id, score in found.items() if score is not None})
            if page * SCORES_PER_PAGE >= int(answer.get("total", 0)) or not tasks:
                return scores
            page += 1

    def import_predictions(self, project_id: int, predictions: Sequence[Json]) -> int:
        """Store predictions `{task, result, score, model_version}`; return how many were created.

        When an answer got lost, Label Studio is asked what it has before the rest is sent again, so that
        nothing is stored twice. Predictions of tasks that were deleted meanwhile are left out.
        """
        return sum(self._push(project_id, chunk) for chunk in _chunks(predictions))

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        """Change the score of a stored prediction; its regions keep theirs."""
        self._http.call("PATCH", f"/api/predictions/{int(prediction_id)}/", body={"score": float(score)})

    def delete_predictions(self, prediction_ids: Iterable[int]) -> None:
        """Delete predictions; those that are gone already are fine."""
        for prediction_id in prediction_ids:
            try:
                self._http.call("DELETE", f"/api/predictions/{int(prediction_id)}/")
            except LabelStudioGone:
                logger.info("prediction %s was gone already", prediction_id)

    def set_model_version(self, project_id: int, model_version: str) -> None:
        """Set the project's `model_version`, which makes scores and sampling use that version."""
        self._http.call("PATCH", f"/api/projects/{int(project_id)}/", body={"model_version": model_version})

    def set_sampling(self, project_id: int, sampling: str) -> None:
        """Set the project's `sampling`: in which order annotators get tasks."""
        self._http.call("PATCH", f"/api/projects/{int(project_id)}/", body={"sampling": sampling})

    def create_view(self, project_id: int, data: Mapping[str, Any]) -> int:
        """Make a tab of the Data Manager (title, filters, ordering, ...) and return its id."""
        body = {"project": int(project_id), "data": dict(data)}
        return int(self._object("POST", "/api/dm/views/", body=body)["id"])

    def delete_view(self, view_id: int) -> None:
        """Remove a tab of the Data Manager; one that is gone already is fine."""
        try:
            self._http.call("DELETE", f"/api/dm/views/{int(view_id)}/")
        except LabelStudioGone:
            logger.info("view %s was gone already", view_id)

    def ml_backends(self, project_id: int) -> list[Json]:
        """Return the models connected to the project (url, state, error_message, model_version, ...)."""
        return _objects(self._http.call("GET", "/api/ml/", params={"project": int(project_id)}))

    def webhooks(self, project_id: int) -> list[Json]:
        """Return the project's webhooks (url, is_active, ...)."""
        return _objects(self._http.call("GET", "/api/webhooks/", params={"project": int(project_id)}))

    def _iterate(
        self, project_id: int, conditions: list[Json], page_size: int, *, after: int = 0
    ) -> Iterator[Json]:
        # By id and not by page: tasks that are deleted or added meanwhile cannot shift others out of sight.
        last_id = after
        while True:
            behind = _condition("id", "greater", "Number", last_id)
            tasks = _objects(self._task_page(project_id, [*conditions, behind], 1, page_size).get("tasks"))
            yield from tasks
            if len(tasks) < page_size:
                return
            last_id = max(task["id"] for task in tasks)

    def _task_page(self, project_id: int, conditions: list[Json], page: int, page_size: int) -> Json:
        query = {"filters": {"conjunction": "and", "items": conditions}, "ordering": ["tasks:id"]}
        params = {
            "project": int(project_id),
            "page": page,
            "page_size": page_size,
            "query": json.dumps(query),
            # Data as stored, not with presigned addresses that end before they are used.
            "resolve_uri": "false",
            # The one mode of this list in which Label Studio never asks the backend for predictions.
            "review": "true",
        }
        return self._object("GET", "/api/tasks/", params=params)

    def _push(self, project_id: int, chunk: list[Json]) -> int:
        path = f"/api/projects/{int(project_id)}/import/predictions"
        missing, created = chunk, 0
        for wait_s in (*RETRY_WAITS_S, None):
            if not missing:
                return created
            try:
                answer = self._object("POST", path, body=missing)
                return created + int(answer.get("created", len(missing)))
            except InvalidError:
                # One task that is gone makes Label Studio refuse all of them.
                left = self._of_existing_tasks(project_id, missing)
                if wait_s is None or len(left) == len(missing):
                    raise
                logger.warning("%d predictions are of tasks that were deleted", len(missing) - len(left))
                missing = left
            except UnsureError:
                if wait_s is None:
                    raise
                self._sleep(wait_s)
                left = self._not_arrived(project_id, missing)
                created, missing = created + len(missing) - len(left), left
        raise AssertionError("the last try returns or raises")

    def _not_arrived(self, project_id: int, predictions: list[Json]) -> list[Json]:
        versions = {str(prediction.get("model_version")) for prediction in predictions}
        sent = [prediction["task"] for prediction in predictions]
        arrived = {version: self.predicted_task_ids(project_id, version, among=sent) for version in versions}
        return [p for p in predictions if p["task"] not in arrived[str(p.get("model_version"))]]

    def _of_existing_tasks(self, project_id: int, predictions: list[Json]) -> list[Json]:
        wanted = {prediction["task"] for prediction in predictions}
        up_to_last = _condition("id", "less", "Number", max(wanted) + 1)
        existing = {
            task["id"] for task in self._iterate(project_id, [up_to_last], 1000, after=min(wanted) - 1)
        }
        return [prediction for prediction in predictions if prediction["task"] in existing]

    def _object(self, method: str, path: str, **options: Any) -> Json:
        answer = self._http.call(method, path, **options)
        if not isinstance(answer, dict):
            raise LabelStudioError(
                f"Label Studio answered {path} with {type(answer).__name__}, not an object"
            )
        return answer


def _objects(answer: Any) -> list[Json]:
    if isinstance(answer, dict) and isinstance(answer.get("results"), list):
        answer = answer["results"]
    if not isinstance(answer, list):
        raise LabelStudioError(
            f"Label Studio answered with {type(answer).__name__} where a list was expected"
        )
    return [item for item in answer if isinstance(item, dict)]


def _condition(column: str, operator: str, kind: str, value: Any) -> Json:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


def _chunks(predictions: Sequence[Json]) -> Iterator[list[Json]]:
    chunk: list[Json] = []
    size_bytes = 0
    for prediction in predictions:
        length = len(json.dumps(prediction))
        if chunk and (len(chunk) >= PUSH_COUNT or size_bytes + length > PUSH_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(prediction)
        size_bytes += length
    if chunk:
        yield chunk
