"""A test client that compares every answer it gets with the service's own description of itself."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException

from backend.web.openapi import build_document
from backend.web.routing import Route
from tests.fakes.services import make_services

NOT_OF_AN_OPERATION = (405,)


class DescribedClient(FlaskClient):
    """Fails a test whose call brings a status, a content type or a body that is not described."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        response = super().open(*args, **kwargs)
        path, method = response.request.path, response.request.method
        check_answer(self.application, path, method, response)
        return response


def check_answer(app: Any, path: str, method: str, response: Any) -> None:
    """Compare an answer with the description of its operation; calls of no operation are left alone."""
    rule = rule_of(app, path, method)
    if rule is None or method in ("HEAD", "OPTIONS") or response.status_code in NOT_OF_AN_OPERATION:
        return
    document = described()
    operation = document["paths"].get(described_path(rule), {}).get(method.lower())
    if operation is None:
        return
    name = f"{method} {path} answered {response.status_code}"
    answer = operation["responses"].get(str(response.status_code))
    assert answer is not None, f"{name}, which is not described: {response.get_data(as_text=True)[:300]}"
    if "content" not in answer:
        return
    [(content_type, media)] = answer["content"].items()
    assert content_type in ("*/*", response.mimetype), f"{name} as {response.mimetype}"
    if content_type == "application/json":
        schema = {**media["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(response.json)


def rule_of(app: Any, path: str, method: str) -> str | None:
    """Return the route that answers a call, None if there is none."""
    try:
        rule, _ = app.url_map.bind("localhost").match(path, method, return_rule=True)
    except HTTPException:
        return None
    return str(rule.rule)


def described_path(rule: str) -> str:
    """Return a route as the description writes it: `/api/jobs/{job_id}`."""
    return rule.replace("<int:", "<").replace("<path:", "<").replace("<", "{").replace(">", "}")


@functools.cache
def described() -> Any:
    """Return the description."""
    return build_document("test", declared_routes())


@functools.cache
def declared_routes() -> tuple[Route, ...]:
    """Return the declaration of every route."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(make_services(Path(folder)).app(lambda: None).extensions["routes"])
