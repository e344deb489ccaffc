"""What every Locks does: the one on Redis, and the fake that the tests of the service use."""

from __future__ import annotations

import threading
import time

import pytest

from backend.errors import ConflictError
from backend.infra.queue.locks import RedisLocks
from tests.fakes.locks import FakeLocks


@pytest.fixture(params=["redis", "fake"])
def make_locks(request):
    """Make the locks as each of two processes has them."""
    shared = FakeLocks(wait_s=0.2)
    if request.param == "fake":
        return lambda: shared
    redis_url = request.getfixturevalue("redis_url")
    return lambda: RedisLocks(redis_url, held_s=5, wait_s=0.2)


def test_one_holds_a_name_and_the_other_is_told_so(make_locks):
    with make_locks().held("annotation:7:1"):
        with pytest.raises(ConflictError), make_locks().held("annotation:7:1"):
            pytest.fail("two held it")
        with make_locks().held("annotation:7:2"):
            pass
    with make_locks().held("annotation:7:1"):
        pass


def test_who_waits_gets_it_when_it_is_free(make_locks):
    order = []

    def second():
        with make_locks().held("7"):
            order.append("second")

    with make_locks().held("7"):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_it_is_free_again_after_an_error(make_locks):
    with pytest.raises(KeyError), make_locks().held("7"):
        raise KeyError
    with make_locks().held("7"):
        pass
