"""A route is declared once, where its view stands: what it takes, what it answers, what it refuses.

    routes = Routes("jobs", __name__, tag="jobs")

    @routes.post("/api/jobs/<job_id>/stop", answer=Job, refuses=(NotFoundError, QueueError))
    def stop_job(job_id: str, body: StopJobBody) -> Json:
        '''Stop a job; a training keeps what it has learned so far, or discards it.'''

The view's name and docstring name and summarise the operation. A parameter `body` or `query` gets what came,
checked against the model of its annotation. A view returns what `answer` takes, or a finished response.
`backend.web.openapi` draws the description from these declarations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, get_type_hints

from flask import Blueprint, Flask, request
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException, UnsupportedMediaType
from werkzeug.wrappers import Response as AnyResponse

from backend.errors import BackendError, ProjectKeyError, StoreError
from backend.web.answer_models import Problem
from backend.web.json_bodies import json_response, parse_json, validated
from backend.web.problems import answer_error, status_of_kind
from backend.web.security import OPEN_PATHS, SAFE_METHODS

JSON_TYPE = "application/json"
FILE_TYPE = "application/octet-stream"
ErrorKind: TypeAlias = type[BackendError] | type[HTTPException]
NAMES_PROJECT: tuple[ErrorKind, ...] = (ProjectKeyError, StoreError)
"""What any call may be refused for that names a project: no such key, its documents cannot be read."""
View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Route:
    """One method of one path.

    path: in Flask's form. name: unique in the description. answer: the body of the usual answer, whose status
    is `status`; None where it is no JSON object. other_answers: bodies of further ones that are no refusals.
    refuses: the errors that a call may meet beside those that every call may. statuses: of errors that this
    route answers with another status than `backend.web.problems` does. refusal: the body of a refusal.
    takes_file: the body is a file, which the view reads. json_only: the body has to say that it is JSON.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    takes_file: bool = False
    json_only: bool = False
    status: int = 200
    content_type: str | None = JSON_TYPE
    other_answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    refuses: tuple[ErrorKind, ...] = ()
    statuses: Mapping[type[BackendError], int] = field(default_factory=dict)
    refusal: type[BaseModel] = Problem

    @property
    def is_open(self) -> bool:
        """Whether it answers without the service's password."""
        return self.path in OPEN_PATHS

    @property
    def needs_body(self) -> bool:
        """Whether a call without a body is refused: where a field of it has no default."""
        fields = {} if self.body is None else self.body.model_fields
        return self.takes_file or any(entry.is_required() for entry in fields.values())

    @property
    def problems(self) -> tuple[int, ...]:
        """Every status with which a call may be refused, in order."""
        own: Mapping[Any, int] = self.statuses
        found = {own[kind] if kind in own else status_of_kind(kind) for kind in self.refuses}
        found |= {500} if self.is_open else {401, 429, 500}
        if self.method not in SAFE_METHODS:
            found.add(403)
        if self.body is not None or self.query is not None:
            found.add(400)
        if self.body is not None or self.takes_file:
            found |= {413, 415} if self.json_only or self.takes_file else {413}
        return tuple(sorted(found))


class Routes:
    """A blueprint whose views carry their declarations; tag: the group that they stand in."""

    def __init__(
        self, name: str, import_name: str, *, tag: str, json_only: bool = False, **options: Any
    ) -> None:
        """Take what Flask's blueprint takes as well.

        json_only: a body has to come as JSON by its content type. Pages of other sites can send forms, but
        not that.
        """
        self.blueprint = Blueprint(name, import_name, **options)
        self.declared: list[Route] = []
        self._tag = tag
        self._json_only = json_only

    def get(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a view; declared: fields of Route."""
        return self._declare("GET", path, declared)

    def post(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a view; declared: fields of Route, and `parse`, which makes JSON of the body's bytes."""
        return self._declare("POST", path, declared)

    def put(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a view, as `post` does."""
        return self._declare("PUT", path, declared)

    def patch(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a view, as `post` does."""
        return self._declare("PATCH", path, declared)

    def delete(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a view; declared: fields of Route."""
        return self._declare("DELETE", path, declared)

    def _declare(self, method: str, path: str, declared: dict[str, Any]) -> Callable[[View], View]:
        def add(view: View) -> View:
            parse = declared.pop("parse", parse_json)
            takes = get_type_hints(view)
            route = Route(
                method=method,
                path=path,
                name=view.__name__,
                summary=_summary(view),
                body=takes.get("body"),
                query=takes.get("query"),
                json_only=self._json_only,
                **{"tag": self._tag, **declared},
            )
            self.declared.append(route)
            self.blueprint.add_url_rule(path, route.name, _answering(view, route, parse), methods=[method])
            return view

        return add


def check_declared(app: Flask, declared: Iterable[Route]) -> None:
    """Raise TypeError where the app has a route without a declaration, or two operations of one name."""
    known = list(declared)
    names = [route.name for route in known]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TypeError(f"several views are named {', '.join(twice)}; the description wants one name each")
    stated = {(route.method, route.path) for route in known}
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if (method, rule.rule) not in stated:
                raise TypeError(f"{method} {rule.rule} has no declaration; add its view to a `Routes`")


def _summary(view: Callable[..., Any]) -> str:
    first_line = (view.__doc__ or "").strip().partition("\n")[0]
    if not first_line:
        raise TypeError(f"the view {view.__name__} has no docstring to summarise it")
    return first_line.removesuffix(".")


def _answering(
    view: Callable[..., Any], route: Route, parse: Callable[[bytes], Any]
) -> Callable[..., AnyResponse]:
    """Return the view as Flask calls it: checked values go in, a response comes out."""

    @functools.wraps(view)
    def answer(**values: Any) -> AnyResponse:
        if route.body is not None:
            values["body"] = validated(route.body, _read_body(route, parse))
        if route.query is not None:
            values["query"] = validated(route.query, request.args.to_dict())
        try:
            content = view(**values)
        except tuple(route.statuses) as exc:
            status = next(code for kind, code in route.statuses.items() if isinstance(exc, kind))
            return answer_error(exc, status)
        if isinstance(content, AnyResponse):
            return content
        assert route.answer is not None, f"{route.name} declares no answer and returns no response"
        checked = route.answer.model_validate(content)
        return json_response(checked.model_dump(mode="json", exclude_unset=True), route.status)

    return answer


def _read_body(route: Route, parse: Callable[[bytes], Any]) -> Any:
    data = request.get_data(cache=False)
    if not data and not route.needs_body:
        return {}
    if data and route.json_only and not request.is_json:
        raise UnsupportedMediaType(f"send JSON with Content-Type: {JSON_TYPE}")
    return parse(data)
