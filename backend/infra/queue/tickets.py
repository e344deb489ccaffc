"""Tickets in RQ: calls of one function with a kind of job, all their lifetimes stated.

JSON and not pickle carries them, so that whoever can write to Redis cannot make a worker unpickle.
"""

from __future__ import annotations

from typing import Any

import redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker_registration import REDIS_WORKER_KEYS

# Tickets carry nothing worth keeping; the job's own record lives for 30 days.
RESULT_TTL_S = 3600
FAILURE_TTL_S = 86_400
SERIALIZER = JSONSerializer


def ticket_queue(connection: redis.Redis, kind: str) -> Queue:
    """Return RQ's queue for the tickets of one kind of job; its name is the kind."""
    return Queue(kind, connection=connection, serializer=SERIALIZER)


def push_ticket(
    connection: redis.Redis, kind: str, function: str, timeout_s: int, pipeline: Any | None = None
) -> None:
    """Put a ticket into RQ's queue, as part of a transaction where `pipeline` is one."""
    ticket_queue(connection, kind).enqueue_call(
        function,
        args=(kind,),
        timeout=timeout_s,
        result_ttl=RESULT_TTL_S,
        ttl=None,
        failure_ttl=FAILURE_TTL_S,
        description=f"next {kind} job",
        pipeline=pipeline,
    )


def ticket_count(connection: redis.Redis, kind: str) -> int:
    """Return how many tickets wait for a worker."""
    count: int = ticket_queue(connection, kind).count
    return count


def live_worker_count(connection: redis.Redis) -> int:
    """Return how many of RQ's workers, on any machine, have signed on and not been silent for too long.

    Counted by their hashes, which end by themselves with their worker; RQ's set of workers keeps the dead
    until somebody tidies it.
    """
    keys = connection.smembers(REDIS_WORKER_KEYS)
    return int(connection.exists(*keys)) if keys else 0
