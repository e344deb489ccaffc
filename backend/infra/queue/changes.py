"""The ChangeCounts on Redis: web processes on any machines add to one count per project.

lsb:changes:<project>   hash of count, updates, last_heard
"""

from __future__ import annotations

from typing import Any

from backend.infra.queue.connection import PREFIX, redis_client, talking_to_redis
from backend.service.ports import Changes

# Takes the key, then numbers.
ADD = """
redis.call('HINCRBY', KEYS[1], 'count', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'updates', ARGV[2])
local last = tonumber(redis.call('HGET', KEYS[1], 'last_heard') or '0')
if tonumber(ARGV[3]) > last then redis.call('HSET', KEYS[1], 'last_heard', ARGV[3]) end
"""
TAKE = """
if tonumber(redis.call('HGET', KEYS[1], 'count') or '0') < tonumber(ARGV[1]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'count', -ARGV[1])
redis.call('HINCRBY', KEYS[1], 'updates', -ARGV[2])
return 1
"""


class RedisChanges:
    """The ChangeCounts of `backend.service.ports`."""

    def __init__(self, redis_url: str) -> None:
        """Connect to nothing yet."""
        self._redis: Any = redis_client(redis_url)

    def add(self, project_key: str, changes: Changes) -> None:
        """Add what one process heard. Raises QueueError."""
        with talking_to_redis():
            self._redis.eval(
                ADD, 1, self._key(project_key), changes.count, changes.updates, repr(changes.last_heard)
            )

    def read(self, project_key: str) -> Changes | None:
        """Return the count, None where nothing was heard. Raises QueueError."""
        with talking_to_redis():
            fields = self._redis.hgetall(self._key(project_key))
        if not fields:
            return None
        return Changes(int(fields["count"]), int(fields["updates"]), float(fields["last_heard"]))

    def take(self, project_key: str, seen: Changes) -> bool:
        """Take away what was seen; tell whether it was still there. Raises QueueError."""
        with talking_to_redis():
            return bool(self._redis.eval(TAKE, 1, self._key(project_key), seen.count, seen.updates))

    def _key(self, project_key: str) -> str:
        return f"{PREFIX}:changes:{project_key}"
