from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import redis
from rq import Queue, Worker

from backend.errors import SettingsError
from backend.infra.queue.worker_health import SILENT_AFTER_S, main, worker_is_alive
from harness.redis_process import RedisProcess


def test_worker_lives_until_it_has_been_silent_for_long(tmp_path: Path) -> None:
    with RedisProcess(tmp_path) as server, redis.Redis.from_url(server.url) as connection:
        worker = Worker([Queue("train", connection=connection)], connection=connection)
        worker.register_birth()
        now = datetime.now(timezone.utc)
        assert worker_is_alive(connection, worker.hostname, now)
        assert not worker_is_alive(connection, "another-machine", now)
        later = now + timedelta(seconds=SILENT_AFTER_S + 60)
        assert not worker_is_alive(connection, worker.hostname, later)


def test_exit_status_tells_a_probe(tmp_path: Path) -> None:
    with RedisProcess(tmp_path) as server:
        assert main({"REDIS_URL": server.url}) == 1
    assert main({"REDIS_URL": server.url}) == 0, "Redis is away: that is no fault of the worker"


def test_without_an_address_it_says_what_is_missing() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        main({})
