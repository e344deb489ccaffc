"""How this service speaks to its Redis: briefly, and saying plainly when it is away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.errors import QueueError

_Result = TypeVar("_Result")
PREFIX = "lsb"
"""What the names of all our keys begin with."""


def redis_client(redis_url: str, *, timeout_s: float = 3.0) -> Any:
    """Return a client that answers in text; it connects with its first call.

    timeout_s: for one answer. One immediate second try covers connections that went stale while Redis
    restarted.
    """
    return redis.Redis.from_url(
        redis_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 1.0),
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )


@contextlib.contextmanager
def talking_to_redis() -> Iterator[None]:
    """Turn what redis-py raises into QueueError."""
    try:
        yield
    except redis.WatchError:
        raise
    except redis.RedisError as exc:
        raise QueueError(
            f"Redis cannot be used now ({type(exc).__name__}: {str(exc)[:200]}); "
            "nothing was changed, try again in a minute"
        ) from exc


def atomically(client: Any, attempt: Callable[[Any], _Result], *watched: str) -> _Result:
    """Return what `attempt` returns, once no other process has changed a watched key meanwhile.

    attempt: gets a pipeline that reads at once until its `multi`; it may be called several times, and its
    writes count when it executes the pipeline. Raises QueueError.
    """
    with talking_to_redis(), client.pipeline(transaction=True) as pipe:
        while True:
            try:
                pipe.watch(*watched)
                return attempt(pipe)
            except redis.WatchError:
                continue
            finally:
                pipe.reset()
