"""The ServingStamps on Redis: web processes on any machines see that another version may serve.

lsb:serving:<project>   a number that only grows
"""

from __future__ import annotations

from typing import Any

from backend.infra.queue.connection import PREFIX, redis_client, talking_to_redis

# An answer waits for the stamp; after so long it asks the store instead.
TIMEOUT_S = 1.0


def stamp_key(project_key: str) -> str:
    """Return where a project's stamp lies."""
    return f"{PREFIX}:serving:{project_key}"


class RedisServingStamps:
    """The ServingStamps of `backend.service.ports`."""

    def __init__(self, redis_url: str) -> None:
        """Connect to nothing yet."""
        self._redis: Any = redis_client(redis_url, timeout_s=TIMEOUT_S)

    def read(self, project_key: str) -> int:
        """Return the stamp, 0 where there is none yet. Raises QueueError."""
        with talking_to_redis():
            return int(self._redis.get(stamp_key(project_key)) or 0)

    def advance(self, project_key: str) -> None:
        """Change the stamp. Raises QueueError."""
        with talking_to_redis():
            self._redis.incr(stamp_key(project_key))
