from __future__ import annotations

import base64

import pytest

from backend.web.security import FREE_FAILURES, MOST_DELAY_S, FailedAttempts
from tests.web.conftest import KEY

AUTH = {"basic_auth_user": "ann", "basic_auth_pass": "gehéim"}


def header(user: str, password: str) -> dict[str, str]:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


RIGHT = header("ann", "gehéim")
WRONG = [
    {},
    header("ann", "wrong"),
    header("bob", "gehéim"),
    header("", ""),
    {"Authorization": "Bearer abc"},
    {"Authorization": "Basic ???"},
    {"Authorization": "nonsense"},
]


@pytest.fixture
def guarded(make_client):
    return make_client(settings=AUTH)


def every_call(app):
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<{argument}>", "7").replace(f"<int:{argument}>", "7")
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, path


@pytest.mark.parametrize("credentials", WRONG[:2], ids=str)
def test_every_route_but_health_and_events_needs_the_password(guarded, credentials, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for method, path in every_call(guarded.application):
        if path in ("/health", "/webhook"):
            continue
        answer = guarded.open(path, method=method, headers=credentials)
        assert answer.status_code in (401, 429), (method, path, answer.status_code)


@pytest.mark.parametrize("credentials", WRONG, ids=str)
def test_wrong_credentials_are_refused(guarded, credentials, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answer = guarded.get("/versions", headers=credentials)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_right_credentials_are_let_in(guarded):
    assert guarded.get("/versions", headers=RIGHT).status_code == 200


def test_health_needs_nothing(guarded):
    assert guarded.get("/health").status_code == 200


def test_events_need_nothing_and_start_training_does(guarded):
    project = {"id": 7, "created_at": "2025-11-21T18:33:20Z"}
    event = {"action": "ANNOTATION_CREATED", "project": project}
    assert guarded.post("/webhook", json=event).status_code == 200
    start = {"action": "START_TRAINING", "project": project}
    assert guarded.post("/webhook", json=start).status_code == 401
    assert guarded.services.queue.jobs == {}
    answer = guarded.post("/webhook", json=start, headers=RIGHT)
    assert answer.status_code == 201
    assert guarded.services.queue.record(answer.json["job"]).project_key == KEY


def test_an_event_with_a_wrong_password_is_refused(guarded):
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 7}}
    assert guarded.post("/webhook", json=event, headers=header("ann", "no")).status_code == 401


ELSEWHERE = [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_no_page_of_another_site_changes_anything(client, headers):
    for method, path in every_call(client.application):
        answer = client.open(path, method=method, json={"project": "7"}, headers=headers)
        assert (answer.status_code == 403) == (method != "GET"), (method, path, answer.status_code)
        answer.close()
    assert client.services.queue.jobs == {}


def test_failures_are_slowed_down_more_and_more_and_forgotten():
    now = [0.0]
    failures = FailedAttempts(clock=lambda: now[0])
    delays = [failures.add("1.2.3.4") for _ in range(FREE_FAILURES + 10)]
    assert delays[:FREE_FAILURES] == [0.0] * FREE_FAILURES
    assert delays == sorted(delays)
    assert delays[-1] == MOST_DELAY_S
    assert failures.add("5.6.7.8") == 0.0
    now[0] = 1000.0
    assert failures.add("1.2.3.4") == 0.0


def test_a_caller_that_is_wrong_for_days_is_still_told_so(guarded, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = {guarded.get("/versions", headers=header("ann", "old")).status_code for _ in range(1100)}
    assert answers == {401}


def test_waiting_callers_never_hold_every_thread():
    failures = FailedAttempts()
    assert failures._delayed.acquire(blocking=False)
    while failures._delayed.acquire(blocking=False):
        pass
    assert failures.wait(10.0) is False


def test_answers_carry_the_headers_that_browsers_need(client):
    headers = client.get("/health").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
