"""Requests that nobody would write, made from the service's own description, on a real Redis and real files.

Each answer has to be one that the description promises, and none may be a 5xx: nothing here is away or full.
"""

from __future__ import annotations

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from backend.infra.store.versions import StoredVersions
from tests.panel_fakes import KEY, make_panel_services
from tests.web.conftest import StubModel
from tests.web.described import DescribedClient, declared_routes, described, described_path

pytestmark = pytest.mark.slow
EXAMPLES = 10
# What exists, so that requests get past "there is no such thing"; 0 s is what waiting for a change is cut to.
KNOWN = {"key": KEY, "task_id": 1, "page": 0}
NO_WAIT = {"wait_s": 0}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    objects = open_object_store(str(folder / "store"))
    with EmbeddedRedis(folder / "redis") as redis:
        services = make_panel_services(
            folder,
            queue=RqJobQueue(redis.url),
            documents=JsonDocuments(objects),
            store=StoredVersions(objects, folder / "cache"),
        )
        app = services.app(lambda: StubModel)
        app.testing = False
        app.test_client_class = DescribedClient
        KNOWN["job_id"] = services.queue.enqueue("predict", KEY, "jobs/x/request.json")
        yield app.test_client()


@pytest.mark.parametrize("route", declared_routes(), ids=lambda route: f"{route.method} {route.path}")
def test_no_request_breaks_a_route(client, route):
    path = described_path(route.path)
    call = schemathesis.openapi.from_dict(described())[path][route.method]
    cases = call.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if route.body is not None or route.query is not None or "{" in path:
        cases |= call.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases, is_about_what_exists=st.booleans())
    def send(case, is_about_what_exists):
        names = case.path_parameters or {}
        if is_about_what_exists:
            names.update({name: KNOWN[name] for name in names if name in KNOWN})
        if case.query and "wait_s" in case.query:
            case.query.update(NO_WAIT)
        answer = ask(client, case)
        assert answer.status_code < 500, answer.text
        answer.close()

    send()


def ask(client, case):
    request = requests.Request(**case.as_transport_kwargs(base_url="http://localhost")).prepare()
    return client.open(
        request.path_url, method=request.method, data=request.body, headers=list(request.headers.items())
    )
