from __future__ import annotations

import pytest

from backend.errors import StoreError
from backend.service.learning.requests import TrainRequest
from tests.fakes.services import make_services
from tests.fakes.tasks import RECTANGLES, annotated, rectangle

KEY = "7.1763750000"


@pytest.mark.parametrize(
    "request_",
    [
        TrainRequest(KEY, RECTANGLES, {"epochs": 9}, (annotated(1, rectangle()),), "request", 1.8e9),
        TrainRequest(KEY, None, source="START_TRAINING", requested_at=1.8e9),
    ],
    ids=["with tasks", "to be fetched"],
)
def test_what_is_written_is_read(request_):
    assert TrainRequest.from_document(request_.as_document()) == request_


def test_a_request_that_is_something_else_fails_its_job_in_plain_words(tmp_path):
    services = make_services(tmp_path)
    job_id = services.backend.trainings.request(KEY, label_config=RECTANGLES)
    record = services.queue.record(job_id)
    services.documents.write(record.payload_path, {"kind": "train"})
    with pytest.raises(StoreError, match=f"the request of job {job_id} cannot be read.*start it anew"):
        services.backend.jobs.read(record, TrainRequest.from_document)
