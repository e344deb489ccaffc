from __future__ import annotations

import inspect

import pytest

from backend import errors
from backend.web.problems import STATUS_BY_ERROR, status_of

ALL = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.BackendError)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind):
    assert kind in STATUS_BY_ERROR
    assert 400 <= STATUS_BY_ERROR[kind] < 600


def test_the_table_names_no_other_class():
    assert set(STATUS_BY_ERROR) == set(ALL)


def test_a_subclass_made_elsewhere_has_the_status_of_its_parent():
    class OwnError(errors.ParameterError):
        pass

    assert status_of(OwnError("x")) == 400


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_answer_has_status_and_message(client, kind):
    def fail():
        raise kind("in plain words")

    client.application.add_url_rule("/fails", view_func=fail)
    answer = client.get("/fails")
    assert (answer.status_code, answer.json["error"]) == (STATUS_BY_ERROR[kind], "in plain words")


def test_an_unexpected_error_shows_no_traceback(client):
    def fail():
        raise KeyError("secret detail")

    client.application.view_functions["labelstudio.health"] = fail
    answer = client.get("/health")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
