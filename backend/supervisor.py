"""`serve`: one foreground process that starts Redis, workers and gunicorn, and ends them all.

A child that dies is started again, later each time it dies at once. No child outlives this process, not even
if it is killed: on Linux each asks the kernel for SIGTERM when its parent is gone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from backend import INSTALL_LABEL_STUDIO_ML
from backend.child_processes import end_with_parent
from backend.errors import BackendError, SettingsError
from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.service.jobs import jobs
from backend.settings import Settings

logger = logging.getLogger(__name__)

FIRST_WAIT_S, MOST_WAIT_S = 0.5, 30.0
STEADY_AFTER_S = 60.0
LOOK_EVERY_S = 0.2
WEB_FIRST_S = 10.0
STOP_TIMEOUT_S = 25.0  # a training writes its checkpoint within 20 s
GRACEFUL_S = 20
# Longer than callers keep a silent connection: the server must not close it just when the next call comes.
KEEP_ALIVE_S = 75
REQUEST_LIMIT_S = 120  # Label Studio gives up after 100 s
# A network frees and wants the same large blocks at every layer. glibc would give them back to the system and
# fetch them again page by page, in an arena for every thread; up to these sizes it keeps them, in one arena.
KEEP_FREED_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(256 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 1024**2),
}
# Older releases of glibc refuse such a threshold and then stop adapting their own.
KEEPS_FREED_MEMORY_FROM = (2, 35)
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Restarts:
    """When a process that ended is started again: later each time it ends soon after its start.

    Times are those of `time.monotonic`, in seconds.
    """

    started_at: float = 0.0
    start_at: float = 0.0
    wait_s: float = FIRST_WAIT_S

    def note_end(self, now: float) -> float:
        """Return for how long to wait before the next start, and note when that is."""
        if now - self.started_at > STEADY_AFTER_S:
            self.wait_s = FIRST_WAIT_S
        waits_s = self.wait_s
        self.start_at = now + waits_s
        self.wait_s = min(2 * waits_s, MOST_WAIT_S)
        return waits_s


@dataclass
class Child:
    """A process that is to run as long as this one."""

    name: str
    command: Sequence[str]
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    restarts: Restarts = field(default_factory=Restarts)

    def start(self) -> None:
        """Start the process, in a session of its own: Ctrl-C reaches it through us only."""
        self.process = subprocess.Popen(
            self.command,
            env=self.environ,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self.restarts.started_at = time.monotonic()
        logger.info("%s runs as process %d", self.name, self.process.pid)

    def look_after(self, now: float) -> None:
        """Start the process again if it has died, after a wait that grows while it keeps dying."""
        if self.process is None:
            if now >= self.restarts.start_at:
                self.start()
            return
        status = self.process.poll()
        if status is not None:
            self.process = None
            waits_s = self.restarts.note_end(now)
            logger.error("%s ended with status %d; starting it again in %.1f s", self.name, status, waits_s)


@dataclass
class KeptRedis:
    """The embedded Redis, started again as a child is."""

    server: EmbeddedRedis
    restarts: Restarts = field(default_factory=Restarts)
    is_up: bool = False

    def start(self) -> None:
        """Start the server and wait until it answers. Raises QueueError."""
        self.restarts.started_at = time.monotonic()
        self.server.start()
        self.is_up = True

    def look_after(self, now: float) -> None:
        """Start the server again if it has died, after a wait that grows while it keeps dying."""
        status = self.server.exit_status()
        if status is None:
            return
        if self.is_up:
            self.is_up = False
            waits_s = self.restarts.note_end(now)
            logger.error("Redis ended with status %d; starting it again in %.1f s", status, waits_s)
        elif now >= self.restarts.start_at:
            try:
                self.start()
            except BackendError as exc:
                # A start may take many seconds to fail, and the wait begins after it.
                waits_s = self.restarts.note_end(time.monotonic())
                logger.error("%s; starting it again in %.1f s", exc, waits_s)


class Supervisor:
    """Keeps the children of one `serve` running until it is told to end."""

    def __init__(self, settings: Settings, environ: dict[str, str]) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._redis: KeptRedis | None = None
        self._metrics: tempfile.TemporaryDirectory[str] | None = None
        self._children: list[Child] = []
        self._asked_to_end = False

    def warnings(self, url: str) -> list[str]:
        """Return what whoever can reach the service at `url` could do, and how to forbid it."""
        if self._settings.basic_auth is not None:
            return []
        found = [
            f"there is no password: whoever reaches {url} can use this service; "
            "set BASIC_AUTH_USER and BASIC_AUTH_PASS"
        ]
        if self._settings.label_studio_api_key is not None and self._settings.label_studio_url is None:
            found.append(
                "LABEL_STUDIO_API_KEY goes to the Label Studio that a project is connected from, whatever "
                "that calls itself; set LABEL_STUDIO_URL, and it goes nowhere else"
            )
        return found

    def run(self) -> int:
        """Start everything and stay until SIGTERM or Ctrl-C; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        try:
            self._check()
            self._start()
            while not self._asked_to_end:
                self._look_after_all()
                time.sleep(LOOK_EVERY_S)
        except BackendError as exc:
            logger.error("%s", exc)
            return 1
        finally:
            self._stop_all()
        return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_end = True

    def _check(self) -> None:
        if importlib.util.find_spec("label_studio_ml") is None:
            raise SettingsError(INSTALL_LABEL_STUDIO_ML)
        self._check_data_dir()
        if self._settings.redis_url is None:
            self._redis = KeptRedis(EmbeddedRedis(self._settings.data_dir / "redis"))
            # Before the port: who starts this twice should read what runs on the folder already.
            self._redis.server.reserve()
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._settings.host, self._settings.port))
            except OSError as exc:
                address = f"{self._settings.host}:{self._settings.port}"
                raise SettingsError(
                    f"cannot listen on {address} ({exc.strerror}); stop what listens there, or set HOST or "
                    "PORT"
                ) from exc

    def _check_data_dir(self) -> None:
        data_dir = self._settings.data_dir
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=data_dir):
                pass
        except OSError as exc:
            raise SettingsError(
                f"DATA_DIR {data_dir}: {exc.strerror or exc}; let who runs this write there, or set another "
                "folder"
            ) from exc

    def _start(self) -> None:
        environ = self._environ
        environ.setdefault("PYTHONUNBUFFERED", "1")
        environ.update(self._settings.absolute_paths())
        # Of this `serve` alone, also where others share DATA_DIR: their figures are none of ours.
        try:
            self._metrics = tempfile.TemporaryDirectory(prefix="lsb-metrics-", ignore_cleanup_errors=True)
        except OSError as exc:
            raise SettingsError(f"no folder for temporary files ({exc}); set TMPDIR") from exc
        environ["PROMETHEUS_MULTIPROC_DIR"] = self._metrics.name
        if self._redis is not None:
            environ["REDIS_URL"] = self._redis.server.url
        predicting = {**memory_settings(), **environ}
        web = Child("web", self._gunicorn(), predicting)
        self._children.append(web)
        web.start()  # first, so that it answers while everything else is still starting
        if self._redis is not None:
            self._redis.start()
        self._wait_for_web()
        self._announce()
        for kind, count, its_environ in (
            (jobs.TRAIN, self._settings.train_workers, environ),
            (jobs.PREDICT, self._settings.predict_workers, predicting),
        ):
            command = [sys.executable, "-m", "backend.cli", "worker", kind]
            self._children += [Child(f"{kind} worker {k + 1}", command, its_environ) for k in range(count)]
        self._look_after_all()

    def _wait_for_web(self) -> None:
        """Wait until the socket is open, a little longer than that should take: workers start with a load."""
        deadline = time.monotonic() + WEB_FIRST_S
        while time.monotonic() < deadline and not self._asked_to_end:
            with contextlib.suppress(OSError), closing(self._connect_to_web()):
                return
            time.sleep(LOOK_EVERY_S)

    def _connect_to_web(self) -> socket.socket:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)
        return socket.create_connection((host, self._settings.port), timeout=1.0)

    def _gunicorn(self) -> list[str]:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return [
            *(sys.executable, "-m", "gunicorn", "_wsgi:app"),
            *("--config", "python:backend.web.gunicorn_hooks"),
            *("--bind", f"{host}:{settings.port}"),
            *("--worker-class", "gthread"),
            *("--workers", str(settings.web_workers)),
            *("--threads", str(settings.web_threads)),
            *("--timeout", str(REQUEST_LIMIT_S)),
            *("--graceful-timeout", str(GRACEFUL_S)),
            *("--keep-alive", str(KEEP_ALIVE_S)),
            *("--worker-tmp-dir", _memory_folder()),
            *("--log-level", "warning"),
        ]

    def _announce(self) -> None:
        settings = self._settings
        shown = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
        url = f"http://{f'[{shown}]' if ':' in shown else shown}:{settings.port}"
        logger.info("ready for Label Studio: paste %s under Settings > Model > Connect Model", url)
        for warning in self.warnings(url):
            logger.warning("%s", warning)

    def _look_after_all(self) -> None:
        now = time.monotonic()
        if self._redis is not None and not self._asked_to_end:
            self._redis.look_after(now)
        for child in self._children:
            child.look_after(now)

    def _stop_all(self) -> None:
        running = [(child.name, child.process) for child in self._children if child.process is not None]
        for _, process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for name, process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
                logger.info("%s has ended", name)
            except subprocess.TimeoutExpired:
                logger.error("%s did not end in time; killing it", name)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._redis is not None:
            self._redis.server.stop()
        if self._metrics is not None:
            self._metrics.cleanup()
        logger.info("everything has ended")


def memory_settings() -> dict[str, str]:
    """Return the variables that make a process keep freed memory, none where the C library differs."""
    family, version = platform.libc_ver()
    release = tuple(int(part) for part in version.split(".") if part.isdigit())
    return dict(KEEP_FREED_MEMORY) if family == "glibc" and release >= KEEPS_FREED_MEMORY_FROM else {}


def _memory_folder() -> str:
    """Return where gunicorn's heartbeat files cost no disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
