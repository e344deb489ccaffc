"""Every route with one odd value at each place where a value can stand: fast, and the same on every run.

`test_fuzz.py` makes requests that nobody would think of; this one holds those that somebody did.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.fakes.tasks import RECTANGLES, annotated, rectangle
from tests.panel_fakes import KEY, make_panel_services, publish_version
from tests.web.conftest import StubModel
from tests.web.described import declared_routes

TOO_LONG = "9" * 5000
NAMES = ["..", "/", "%2e%2e", "\x00", " ", "-1", "NaN", "٣", "7.", "7.1\n", "9" * 30, TOO_LONG]
QUERIES = ["", "-1", "0", "NaN", "inf", "1e999", "٣", "é", "\x00", "[]", TOO_LONG]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**40,
    1e308,
    "",
    "7",
    "\x00",
    "٣",
    "..",
    [],
    [None],
    {},
    {"a": []},
]
BODIES = [b"", b"{", b"\xff", b"null", b"[]", b'"text"', b'{"a":' * 2000, b'{"a": "\xed\xa0\x80"}']
KNOWN = {
    "key": KEY,
    "task_id": "1",
    "page": "0",
    "level": "0",
    "column": "0",
    "row": "0",
    "version": "v1",
    "job_id": "x",
    "finding_id": "x",
    "batch_id": "x",
    "filename": "main.js",
}
CLICK = {
    "id": "p",
    "type": "keypointlabels",
    "from_name": "box",
    "to_name": "image",
    "is_positive": True,
    "original_width": 80,
    "original_height": 60,
    "value": {"x": 50, "y": 50, "width": 1, "labels": ["Cat"]},
}
SOUND: dict[str, Any] = {
    "/setup": {
        "project": KEY,
        "schema": RECTANGLES,
        "hostname": "http://ls",
        "access_token": "t",
        "extra_params": {"epochs": 3},
    },
    "/predict": {
        "tasks": [annotated(1, rectangle())],
        "project": KEY,
        "label_config": RECTANGLES,
        "params": {
            "login": "a",
            "password": "b",
            "context": {"result": [CLICK]},
            "confidence_threshold": 0.5,
        },
    },
    "/train": {
        "project": KEY,
        "annotations": [annotated(1, rectangle())],
        "label_config": RECTANGLES,
        "params": {"epochs": 3, "task_ids": [1]},
    },
    "/webhook": {
        "action": "ANNOTATION_CREATED",
        "annotations": [1],
        "project": {"id": 7, "created_at": "2025-11-21T18:33:20Z", "label_config": RECTANGLES},
    },
    "/job_status": {"job": "x"},
    "/stop": {"job": "x", "keep": True},
    "/versions": {"project": KEY},
    "/validate": {"config": RECTANGLES},
    "/delete": {"project": KEY},
    "/duplicate_model": {"project_src": KEY, "project_dst": "8"},
    "/api/projects/<key>/settings": {
        "params": {"epochs": 3},
        "predict_after_training": True,
        "activation": "newest",
        "auto_train": {"annotations": 3, "quiet_minutes": 2},
    },
    "/api/projects/<key>/train": {"params": {"epochs": 3, "task_ids": [1]}},
    "/api/jobs/<job_id>/stop": {"mode": "keep"},
    "/api/projects/<key>/versions/<version>/pin": {"pinned": True},
    "/api/projects/<key>/second-look": {"images": "all", "pushes": True},
    "/api/projects/<key>/acceptance/accept": {"precision": 0.9},
    "/api/projects/<key>/label-next/switch": {"is_on": True, "score": "usefulness"},
    "/api/projects/<key>/tasks/<int:task_id>/accept": {
        "prediction_id": "x",
        "model_version": "v1",
        "region_ids": ["r"],
        "annotation_ids": [1],
        "confidence_threshold": 0.5,
    },
}
ROUTES = [route for route in declared_routes() if not route.path.endswith("/events")]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    services = make_panel_services(tmp_path_factory.mktemp("odd"))
    publish_version(services, "v1")
    app = services.app(lambda: StubModel)
    app.testing = False
    yield app.test_client()
    app.extensions["housekeeping"].stop()


def test_every_body_is_tried():
    assert {route.path for route in ROUTES if route.body is not None} == set(SOUND)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_odd_value_is_refused_or_taken_and_never_an_error_of_ours(client, route):
    for what, path, call in odd_calls(route):
        answer = client.open(path, method=route.method, **call)
        assert answer.status_code < 500, (what, answer.text[:300])
        if answer.status_code >= 400:
            assert answer.json["error"], what
        answer.close()


def odd_calls(route) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield what is odd about a call, its path and the rest of it."""
    sound: dict[str, Any] = {} if route.body is None else {"json": SOUND[route.path]}
    for name in names_in(route.path):
        for value in NAMES:
            yield f"{name}={value[:20]!r}", path_of(route, **{name: value}), sound
    for name in route.query.model_fields if route.query is not None else ():
        for value in QUERIES:
            yield f"?{name}={value[:20]!r}", path_of(route), {"query_string": {name: value}, **sound}
    if route.body is None:
        return
    for content in BODIES:
        raw = {"data": content, "content_type": "application/json"}
        yield f"body {content[:20]!r}", path_of(route), raw
    for place in places_in(SOUND[route.path]):
        for value in VALUES:
            yield f"{place}={value!r}", path_of(route), {"json": with_value(SOUND[route.path], place, value)}


def names_in(path: str) -> list[str]:
    return re.findall(r"<(?:\w+:)?(\w+)>", path)


def path_of(route, **names: str) -> str:
    values = {**KNOWN, **names}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: quote(values[found[1]], safe=""), route.path)


def places_in(content: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a body, the body itself first."""
    yield ()
    entries: Any = content.items() if isinstance(content, dict) else ()
    for name, value in enumerate(content) if isinstance(content, list) else entries:
        yield from ((name, *rest) for rest in places_in(value))


def with_value(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.copy(content)
    changed[place[0]] = with_value(content[place[0]], place[1:], value)
    return changed
