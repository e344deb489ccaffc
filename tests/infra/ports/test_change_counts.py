"""What every ChangeCounts does: the one on Redis, and the one in memory."""

import pytest

from backend.errors import QueueError
from backend.infra.queue.changes import RedisChanges
from backend.service.ports import Changes
from tests.fakes.changes import FakeChanges


@pytest.fixture(params=["redis", "memory"])
def counts(request, redis_url):
    return RedisChanges(redis_url) if request.param == "redis" else FakeChanges()


def test_what_is_added_is_joined(counts):
    assert counts.read("7") is None
    counts.add("7", Changes(3, 1, 100.5))
    counts.add("7", Changes(2, 0, 90.25))
    counts.add("8.1", Changes(1, 1, 5.0))
    assert counts.read("7") == Changes(5, 1, 100.5)
    assert counts.read("8.1") == Changes(1, 1, 5.0)


def test_what_was_seen_is_taken_once_and_what_came_later_stays(counts):
    counts.add("7", Changes(3, 1, 100.0))
    seen = counts.read("7")
    counts.add("7", Changes(2, 1, 110.0))
    assert counts.take("7", seen)
    assert not counts.take("7", seen)
    assert counts.read("7") == Changes(2, 1, 110.0)
    assert not counts.take("9", seen)


def test_redis_away_is_said(tmp_path):
    with pytest.raises(QueueError):
        RedisChanges("redis://127.0.0.1:1/0").add("7", Changes(1, 0, 1.0))
