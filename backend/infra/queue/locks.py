"""The Locks on Redis: web processes on any machines keep out of each other's way.

lsb:lock:<name>   who holds it; forgotten after HELD_S, so that who was killed blocks nobody for good
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from backend.errors import ConflictError, QueueError
from backend.infra.queue.connection import PREFIX, redis_client, talking_to_redis

logger = logging.getLogger(__name__)

HELD_S = 180.0
WAIT_S = 10.0


class RedisLocks:
    """The Locks of `backend.service.ports`; held_s: of a process that is gone. wait_s: for somebody else."""

    def __init__(self, redis_url: str, *, held_s: float = HELD_S, wait_s: float = WAIT_S) -> None:
        """Connect to nothing yet."""
        self._redis: Any = redis_client(redis_url)
        self._held_s = held_s
        self._wait_s = wait_s

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Keep everybody else from the same name for as long as this lasts, or for held_s."""
        lock = self._redis.lock(f"{PREFIX}:lock:{name}", timeout=self._held_s, blocking_timeout=self._wait_s)
        with talking_to_redis():
            is_ours = lock.acquire()
        if not is_ours:
            raise ConflictError("somebody else changes the same thing now; try again in a minute")
        try:
            yield
        finally:
            try:
                with talking_to_redis():
                    lock.release()
            except QueueError as exc:
                # What was to be done is done; the lock goes by itself.
                logger.warning("the lock %s was not given back: %s", name, exc)
