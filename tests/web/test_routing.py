from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from pydantic import BaseModel, ConfigDict

from backend.errors import ConflictError, NotFoundError
from backend.web.problems import register_problems
from backend.web.routing import NAMES_PROJECT, Routes, check_declared


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    cups: int
    name: str = "Ada"


class Page(BaseModel):
    offset: int = 0


class Receipt(BaseModel):
    cups: int
    offset: int
    note: str | None = None


@pytest.fixture
def shop():
    """A Flask app with one declared route, and the declarations."""
    routes = Routes("shop", __name__, tag="shop", json_only=True)

    @routes.post(
        "/orders/<place>",
        answer=Receipt,
        status=201,
        refuses=(*NAMES_PROJECT, ConflictError, NotFoundError),
        statuses={NotFoundError: 410},
    )
    def order(place: str, body: Order, query: Page) -> dict[str, Any]:
        """Order coffee; somebody brings it.

        This is not in the summary.
        """
        if place == "nowhere":
            raise NotFoundError("there is no such place")
        if place == "full":
            raise ConflictError("too many orders")
        return {"cups": body.cups, "offset": query.offset}

    app = Flask("shop", static_folder=None)
    register_problems(app)
    app.register_blueprint(routes.blueprint)
    return app, routes.declared


def test_a_view_gets_what_came_typed_and_answers_what_it_promises(shop):
    app, _ = shop
    answer = app.test_client().post("/orders/bar?offset=3", json={"cups": 2})
    assert (answer.status_code, answer.json) == (201, {"cups": 2, "offset": 3})


@pytest.mark.parametrize(
    ("address", "body", "message", "field"),
    [
        ("/orders/bar", {"cups": "2"}, "cups must be a valid integer, got '2'", "cups"),
        ("/orders/bar", {}, "cups is missing", "cups"),
        ("/orders/bar", {"cups": 1, "milk": 1}, "milk is not known here; known are cups, name", "milk"),
        ("/orders/bar", [1], "the body must be a JSON object, got a list", None),
        ("/orders/bar?offset=x", {"cups": 1}, "offset must be a valid integer", "offset"),
    ],
    ids=["type", "missing", "unknown", "no object", "query"],
)
def test_what_does_not_fit_is_refused_by_its_field(shop, address, body, message, field):
    answer = shop[0].test_client().post(address, json=body)
    assert (answer.status_code, answer.json.get("field")) == (400, field)
    assert message in answer.json["error"]


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ({"data": "cups=1", "content_type": "application/x-www-form-urlencoded"}, 415),
        ({"data": b""}, 400),
        ({"data": b"{", "content_type": "application/json"}, 400),
    ],
    ids=["a form", "nothing", "half"],
)
def test_a_body_that_is_no_json_is_refused(shop, call, status):
    answer = shop[0].test_client().post("/orders/bar", **call)
    assert answer.status_code == status and answer.json["error"]


def test_an_error_has_the_status_of_the_table_or_the_routes_own(shop):
    client = shop[0].test_client()
    assert client.post("/orders/full", json={"cups": 1}).status_code == 409
    gone = client.post("/orders/nowhere", json={"cups": 1})
    assert (gone.status_code, gone.json) == (410, {"error": "there is no such place"})


def test_a_declaration_says_everything_that_a_call_may_meet(shop):
    [route] = shop[1]
    assert (route.name, route.summary) == ("order", "Order coffee; somebody brings it")
    assert (route.body, route.query, route.answer) == (Order, Page, Receipt)
    assert route.problems == (400, 401, 403, 409, 410, 413, 415, 429, 500, 507)
    assert route.needs_body


def test_an_app_whose_routes_are_all_declared_starts(shop):
    check_declared(*shop)


def test_a_view_without_a_declaration_stops_the_start(shop):
    app, declared = shop
    app.add_url_rule("/secret", view_func=lambda: "", methods=["POST"])
    with pytest.raises(TypeError, match=r"POST /secret has no declaration"):
        check_declared(app, declared)


def test_two_views_of_one_name_stop_the_start(shop):
    app, declared = shop
    with pytest.raises(TypeError, match="order"):
        check_declared(app, [*declared, *declared])


def test_a_view_without_words_is_refused():
    with pytest.raises(TypeError, match="has no docstring"):

        @Routes("shop", __name__, tag="shop").get("/", answer=Receipt)
        def silent():
            return {}
