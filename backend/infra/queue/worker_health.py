"""Whether a worker of this machine is alive, for probes: `python -m backend.infra.queue.worker_health`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from datetime import datetime, timezone

import redis
from rq import Worker

from backend.errors import SettingsError
from backend.settings import Settings

# A worker signs on again whenever it stops waiting for a ticket, which is every few seconds.
SILENT_AFTER_S = 180.0


def worker_is_alive(connection: redis.Redis, host: str, now: datetime) -> bool:
    """Tell whether some worker of `host` has given a sign of life within `SILENT_AFTER_S`."""
    beats = (worker.last_heartbeat for worker in Worker.all(connection=connection) if worker.hostname == host)
    return any(
        beat is not None and (now - beat.replace(tzinfo=timezone.utc)).total_seconds() < SILENT_AFTER_S
        for beat in beats
    )


def main(environ: Mapping[str, str]) -> int:
    """Return 0 if a worker of this machine lives, or if Redis cannot tell; 1 if none does."""
    redis_url = Settings.from_env(environ).redis_url
    if redis_url is None:
        raise SettingsError("REDIS_URL is not set; a worker is known by the Redis that it serves")
    try:
        with redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5) as connection:
            return 0 if worker_is_alive(connection, socket.gethostname(), datetime.now(timezone.utc)) else 1
    except redis.RedisError:
        # Restarting a worker does not bring Redis back, and would cost the training it runs.
        return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
