"""One described operation of the HTTP interface; two modules beside this one have them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from backend.web.answer_models import Problem

Json = dict[str, Any]
JSON_TYPE = "application/json"
NAMES_PROJECT = (400, 507)
"""What any call may be answered that names a project: no such key, its documents cannot be read."""


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    name: unique in the description. answer: the body of the usual answer, whose status is `status`;
    other_answers: bodies of further ones that are no refusals. problems: statuses of refusals, with `problem`
    as their body, beside those that every call may meet. required_query: names in `query` that must be there.
    is_open: answers without the service's password.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    needs_body: bool = True
    takes_file: bool = False
    status: int = 200
    other_answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    content_type: str | None = JSON_TYPE
    query: Mapping[str, Json] = field(default_factory=dict)
    required_query: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()
    problem: type[BaseModel] = Problem
    is_open: bool = False
