"""What gunicorn calls as its processes come and go."""

from __future__ import annotations

import os
from typing import Any

# Newer releases open a socket for remote control; older ones pass over the name.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Begin the heavy imports, now that the socket is open and this process answers."""
    from backend.web.app import warm_up

    warm_up(worker.app.wsgi())


def child_exit(server: Any, worker: Any) -> None:
    """Let the metrics of a process that is gone stop counting as live."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
