from __future__ import annotations

import pytest

from backend.service.predicting.requests import BackgroundRequest
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES

KEY = "7.1763750000"
TASKS = ({"id": 1, "data": {"image": "1.png"}}, {"id": 2, "data": {"image": "2.png"}})


@pytest.mark.parametrize(
    ("request_", "is_whole"),
    [
        (BackgroundRequest(KEY, "v1"), True),
        (BackgroundRequest(KEY, "v1", task_ids=(1, 2)), False),
        (BackgroundRequest(KEY, "v1", TASKS, None, RECTANGLES, {"nms_threshold": 0.4}), False),
        (BackgroundRequest(KEY, "v1").shard(TASKS, RECTANGLES, "predict-1"), False),
    ],
    ids=["project", "some tasks", "what a call left", "part"],
)
def test_what_is_written_is_read(request_, is_whole):
    assert BackgroundRequest.from_document(request_.as_document()) == request_
    assert request_.is_whole_project is is_whole


def test_a_job_whose_request_is_gone_claims_nothing(tmp_path, caplog):
    services = make_services(tmp_path)
    add_version(services, KEY)
    background = services.backend.background
    job_id = background.finish(KEY, "v1", TASKS, RECTANGLES, {})
    assert background.claimed_tasks(KEY, "v1") == {1, 2}
    services.documents.delete(services.queue.record(job_id).payload_path)
    assert background.claimed_tasks(KEY, "v1") == set()
    assert f"the request of job {job_id} is gone" in caplog.text


def test_a_waiting_job_for_some_tasks_does_not_stand_for_the_whole_project(tmp_path):
    services = make_services(tmp_path)
    add_version(services, KEY)
    background = services.backend.background
    of_some = background.predict_project(KEY, (1, 2))
    whole = background.predict_project(KEY)
    assert whole != of_some and background.predict_project(KEY) == whole
