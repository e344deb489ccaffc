"""Label Studio's HTTP API, as far as labels, predictions and projects need it.

Plain requests and not the SDK's client: that takes seconds to import and parses every task into models.
Reading tasks never makes Label Studio ask for predictions (`GET /api/tasks/<id>/` would).
Source: Label Studio 1.23.2.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from backend.errors import AddressRefused, LabelStudioAuthError, LabelStudioError, LabelStudioGone
from backend.infra.addresses import AddressRules, GuardedAdapter
from backend.infra.label_studio_token import REFUSED, LabelStudioToken

logger = logging.getLogger(__name__)

Json = dict[str, Any]
RETRY_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
PASSING_STATUS = frozenset({429, 500, 502, 503, 504})
CONNECT_TIMEOUT_S = 10.0
EXPORT_TIMEOUT_FACTOR = 10
SCORES_PER_PAGE = 1000
PUSH_COUNT = 100
PUSH_BYTES = 8 * 1024 * 1024


class _Unsure(LabelStudioError):
    """The call may or may not have been carried out."""


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
        self._url = url.rstrip("/")
        self._token = LabelStudioToken(self._url, token)
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._session = self._make_session(ca_bundle)

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
        answer = self._call(
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
        return _objects(self._call("GET", f"/api/tasks/{int(task_id)}/annotations/"))

    def create_annotation(self, task_id: int, result: Sequence[Json], **fields: Any) -> Json:
        """Create an annotation and return it."""
        body = {**fields, "result": list(result)}
        return self._object("POST", f"/api/tasks/{int(task_id)}/annotations/", body=body)

    def delete_annotation(self, annotation_id: int) -> None:
        """Delete an annotation."""
        self._call("DELETE", f"/api/annotations/{int(annotation_id)}/")

    def predictions(self, task_id: int) -> list[Json]:
        """Return the predictions stored for a task."""
        return _objects(self._call("GET", "/api/predictions/", params={"task": int(task_id)}))

    def predicted_task_ids(self, project_id: int, model_version: str) -> set[int]:
        """Return the ids of the tasks that already have a prediction of this version."""
        named = _condition("predictions_model_versions", "contains", "List", [model_version])
        return {task["id"] for task in self._iterate(project_id, [named], 1000)}

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
        nothing is stored twice.
        """
        return sum(self._push(project_id, chunk) for chunk in _chunks(predictions))

    def delete_predictions(self, prediction_ids: Iterable[int]) -> None:
        """Delete predictions; those that are gone already are fine."""
        for prediction_id in prediction_ids:
            try:
                self._call("DELETE", f"/api/predictions/{int(prediction_id)}/")
            except LabelStudioGone:
                logger.info("prediction %s was gone already", prediction_id)

    def set_model_version(self, project_id: int, model_version: str) -> None:
        """Set the project's `model_version`, which makes scores and sampling use that version."""
        self._call("PATCH", f"/api/projects/{int(project_id)}/", body={"model_version": model_version})

    def ml_backends(self, project_id: int) -> list[Json]:
        """Return the models connected to the project (url, state, error_message, model_version, ...)."""
        return _objects(self._call("GET", "/api/ml/", params={"project": int(project_id)}))

    def webhooks(self, project_id: int) -> list[Json]:
        """Return the project's webhooks (url, is_active, ...)."""
        return _objects(self._call("GET", "/api/webhooks/", params={"project": int(project_id)}))

    def _iterate(self, project_id: int, conditions: list[Json], page_size: int) -> Iterator[Json]:
        # By id and not by page: tasks that are deleted or added meanwhile cannot shift others out of sight.
        last_id = 0
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
        missing, created = chunk, 0
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                path = f"/api/projects/{int(project_id)}/import/predictions"
                answer = self._object("POST", path, body=missing)
                return created + int(answer.get("created", len(missing)))
            except _Unsure:
                if wait_s is None:
                    raise
                self._sleep(wait_s)
                arrived = {
                    version: self.predicted_task_ids(project_id, version)
                    for version in {str(prediction.get("model_version")) for prediction in missing}
                }
                left = [p for p in missing if p["task"] not in arrived[str(p.get("model_version"))]]
                created, missing = created + len(missing) - len(left), left
                if not missing:
                    return created
        raise AssertionError("the last try returns or raises")

    def _object(self, method: str, path: str, **options: Any) -> Json:
        answer = self._call(method, path, **options)
        if not isinstance(answer, dict):
            raise LabelStudioError(
                f"Label Studio answered {path} with {type(answer).__name__}, not an object"
            )
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Json | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the parsed answer (None where it is empty); tries again where that is harmless."""
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                response = self._send(method, path, params, body, timeout_s or self._timeout_s)
            except AddressRefused as exc:
                raise LabelStudioError(f"Label Studio cannot be at {self._url}: {exc}") from exc
            except requests.RequestException as exc:
                was_sent = _was_sent(exc)
                error = self._unreachable(path, exc, _Unsure if was_sent else LabelStudioError)
                if wait_s is None or (method == "POST" and was_sent):
                    raise error from exc
            else:
                if response.status_code not in PASSING_STATUS:
                    return _parse(path, response)
                error = _refusal(path, response, _Unsure if response.status_code != 429 else LabelStudioError)
                if wait_s is None or (method == "POST" and response.status_code != 429):
                    raise error
            logger.warning("%s; trying again in %g s", error, wait_s)
            self._sleep(wait_s * random.uniform(0.8, 1.2))
        raise AssertionError("the last try returns or raises")

    def _send(
        self, method: str, path: str, params: Json | None, body: Any, timeout_s: float
    ) -> requests.Response:
        def ask() -> requests.Response:
            return self._session.request(
                method,
                self._url + path,
                params=params,
                json=body,
                auth=_Authorization(self._token.header(self._session)),
                timeout=(CONNECT_TIMEOUT_S, timeout_s),
                # The token must reach no other host, and a redirected POST would lose its body.
                allow_redirects=False,
            )

        response = ask()
        if response.status_code == 401 and self._token.forget_access():
            response = ask()
        return response

    def _make_session(self, ca_bundle: Path | None) -> requests.Session:
        session = requests.Session()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # The address may have come with /setup, so it gets no further than an image's may.
        guarded = GuardedAdapter(AddressRules(), lambda: None)
        session.mount("http://", guarded)
        session.mount("https://", guarded)
        if ca_bundle is not None:
            session.verify = str(ca_bundle)
        return session

    def _unreachable(self, path: str, exc: Exception, kind: type[LabelStudioError]) -> LabelStudioError:
        return kind(
            f"Label Studio at {self._url} does not answer {path} ({type(exc).__name__}); "
            "is it running, and is LABEL_STUDIO_URL right as seen from this service?"
        )


class _Authorization(requests.auth.AuthBase):
    """A fixed header; given as `auth`, so that a .netrc file cannot replace it."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def _was_sent(exc: requests.RequestException) -> bool:
    """Tell whether the request may have reached Label Studio: not if no connection came about."""
    if isinstance(exc, requests.ConnectTimeout):
        return False
    cause = getattr(exc.args[0], "reason", None) if exc.args else None
    return not isinstance(cause, NewConnectionError)


def _parse(path: str, response: requests.Response) -> Any:
    status = response.status_code
    if status == 401:
        raise LabelStudioAuthError(REFUSED)
    if status == 403:
        raise LabelStudioAuthError(f"Label Studio forbids {path} to the owner of the token (403)")
    if status == 404:
        raise LabelStudioGone(
            f"Label Studio has no {path} (404): deleted, or not visible to the token's owner"
        )
    if 300 <= status < 400:
        target = response.headers.get("Location", "elsewhere").split("?")[0][:200]
        raise LabelStudioError(
            f"Label Studio redirects {path} to {target}; set LABEL_STUDIO_URL to its address there"
        )
    if status >= 400:
        raise _refusal(path, response, LabelStudioError)
    if status == 204 or not response.content:
        return None
    try:
        return response.json()
    except ValueError as exc:
        kind = response.headers.get("Content-Type", "no type").split(";")[0][:80]
        raise LabelStudioError(
            f"Label Studio answered {path} with {kind} where JSON was expected; is LABEL_STUDIO_URL right?"
        ) from exc


def _refusal(path: str, response: requests.Response, kind: type[LabelStudioError]) -> LabelStudioError:
    reason = ""
    if "json" in response.headers.get("Content-Type", ""):
        reason = ": " + response.text[:300]
    return kind(f"Label Studio answered {path} with {response.status_code}{reason}")


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
