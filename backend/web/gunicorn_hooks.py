"""What gunicorn calls as its processes come and go."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

# Newer releases open a socket for remote control; older ones pass over the name.
control_socket_disable = True
# Requests are finished on leaving; what a long one has not predicted by then goes on in the background.
FINISH_WITHIN_S = 12.0


def post_worker_init(worker: Any) -> None:
    """Begin the heavy imports, now that the socket is open and this process answers."""
    from backend.web.app import warm_up

    app = worker.app.wsgi()
    warm_up(app)
    leave = signal.getsignal(signal.SIGTERM)

    def hurry_and_leave(number: int, frame: FrameType | None) -> None:
        app.extensions["engine"].pipeline.hurry(FINISH_WITHIN_S)
        if callable(leave):
            leave(number, frame)

    signal.signal(signal.SIGTERM, hurry_and_leave)


def child_exit(server: Any, worker: Any) -> None:
    """Let the metrics of a process that is gone stop counting as live."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
