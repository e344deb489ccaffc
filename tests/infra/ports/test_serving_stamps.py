"""What every ServingStamps does: the one on Redis, and the one in memory."""

import pytest

from backend.errors import QueueError
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.queue.serving_stamps import RedisServingStamps
from backend.service.engine.stamps import StampsHere


@pytest.fixture(params=["redis", "memory"])
def stamps(request, redis_url):
    return RedisServingStamps(redis_url) if request.param == "redis" else StampsHere()


def test_a_stamp_changes_for_its_project_alone(stamps):
    before = stamps.read("7"), stamps.read("8.1")
    stamps.advance("7")
    after = stamps.read("7")
    assert after != before[0] and stamps.read("8.1") == before[1]
    stamps.advance("7")
    assert stamps.read("7") not in (before[0], after)


@pytest.mark.parametrize(("kind", "changes"), [("train", True), ("predict", False)])
def test_who_hears_that_a_training_ended_sees_a_new_stamp(redis_url, kind, changes):
    queue, elsewhere = RqJobQueue(redis_url), RedisServingStamps(redis_url)
    job_id = queue.enqueue(kind, "7", "jobs/x/request.json")
    queue.claim_next(kind, "owner")
    before = elsewhere.read("7")
    queue.end(job_id, "owner", status="finished", model_version="v2")
    assert (elsewhere.read("7") != before) == changes


def test_redis_away_is_said():
    stamps = RedisServingStamps("redis://127.0.0.1:1/0")
    with pytest.raises(QueueError):
        stamps.read("7")
    with pytest.raises(QueueError):
        stamps.advance("7")
