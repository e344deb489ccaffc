from __future__ import annotations

import pytest

from tests.panel_fakes import KEY, make_panel_services, publish_version
from tests.web.described import declared_routes, described_path
from tests.web.panel.conftest import BASE, client_of, push


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
def test_changing_requests_from_other_sites_are_refused(client, headers):
    for method, path in [("POST", "/train"), ("PATCH", "/settings"), ("DELETE", "/tasks/1/predictions")]:
        assert client.open(BASE + path, method=method, json={}, headers=headers).status_code == 403
    assert client.get(f"{BASE}/settings", headers=headers).status_code == 200


def test_the_panel_itself_and_programs_may_change_things(client):
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}):
        assert (
            client.patch(f"{BASE}/settings", json={"params": {"epochs": 9}}, headers=headers).status_code
            == 200
        )
    form = {"data": "params=1", "content_type": "application/x-www-form-urlencoded"}
    assert client.patch(f"{BASE}/settings", **form).status_code == 415


def test_basic_auth_covers_page_and_api(tmp_path):
    settings = {"basic_auth_user": "ada", "basic_auth_pass": "secret"}
    client = client_of(make_panel_services(tmp_path, settings=settings))
    for path in (
        "/panel",
        "/api/projects",
        f"{BASE}/tasks/1/images/0",
        "/openapi.json",
        "/panel/static/main.js",
    ):
        assert client.get(path).status_code == 401
        with client.get(path, auth=("ada", "secret")) as answer:
            assert answer.status_code == 200


def test_the_page_has_strict_headers_and_a_browser_is_sent_to_it(client):
    answer = client.get("/panel")
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy
    assert client.get("/", headers={"Accept": "text/html,*/*"}).headers["Location"] == "/panel"
    assert client.get("/", headers={"Accept": "*/*"}).json["status"] == "UP"


def test_every_reading_call_is_answered_as_described_and_tells_no_token(client, services, label_studio):
    services.projects.remember(KEY, access_token="f00dcafe")
    publish_version(services, "v1")
    push(label_studio, 1)
    job = client.post(f"{BASE}/train").json["job"]
    values = {"key": KEY, "task_id": "1", "page": "0", "version": "v1", "job_id": job}
    values |= {"level": "0", "column": "0", "row": "0"}
    reading = [
        route for route in declared_routes() if route.method == "GET" and route.path.startswith("/api/")
    ]
    assert len(reading) > 10
    for route in reading:
        if not route.path.endswith(("/events", "/compare")):
            with client.get(described_path(route.path).format(**values)) as answer:
                assert answer.status_code == route.status, route.path
                assert b"f00dcafe" not in answer.data, route.path
