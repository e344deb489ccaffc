"""One real Redis for all tests of this folder, emptied before each."""

import pytest
import redis

from backend.infra.embedded_redis import EmbeddedRedis


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url
