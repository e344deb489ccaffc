"""Our service, started in a process of its own exactly as `make serve` starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from backend.settings import SETTINGS_TABLE

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
PROGRAM = Path(sys.executable).parent / "labelstudio-backend"
FINISHED = ("finished", "failed", "stopped")


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a TCP port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


class ServiceProcess:
    """`labelstudio-backend serve` with its own data directory, port and embedded Redis."""

    def __init__(self, data_dir: Path, *, port: int | None = None, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.environment = environment
        self.log_path = data_dir.parent / f"{data_dir.name}.log"
        self.session = requests.Session()
        self.session.trust_env = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; return the seconds until /health answered."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        environment = _without_our_settings(os.environ) | {
            "HOST": HOST,
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            "NO_PROXY": f"{HOST},localhost",
            **self.environment,
        }
        started = time.monotonic()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "serve"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.wait_for(self._is_healthy, "/health to answer", within_s=60, every_s=0.1)
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - started

    def stop(self) -> int:
        """End it as Ctrl-C does; return its exit status. Kills what is left after 40 s."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait(10)

    def __enter__(self) -> ServiceProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Return everything it printed so far."""
        return self.log_path.read_text(errors="replace")

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a route."""
        return self.session.get(self.url + path, timeout=options.pop("timeout", 100), **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        """POST JSON to a route."""
        return self.session.post(self.url + path, json=body, timeout=options.pop("timeout", 100), **options)

    def put(self, path: str, body: Any, **options: Any) -> requests.Response:
        """PUT JSON to a route."""
        return self.session.put(self.url + path, json=body, timeout=options.pop("timeout", 100), **options)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return /job_status of a job."""
        answer = self.post("/job_status", {"job": job_id})
        answer.raise_for_status()
        return dict(answer.json())

    def training_of(self, project_id: int) -> str:
        """Return the id of the project's training that Label Studio has just started.

        Label Studio keeps the id to itself, but a second request is told which job is in its way.
        """
        self.wait_for(
            lambda: self.is_training(project_id), "the training to be queued", within_s=30, every_s=0.1
        )
        answer = self.post("/train", {"project": str(project_id)})
        assert answer.status_code == 409, answer.text
        return str(answer.json()["job"])

    def is_training(self, project_id: int) -> bool:
        """Return what /is_training says."""
        return bool(self.get(f"/is_training?project={project_id}").json()["is_training"])

    def wait_for_job(self, job_id: str, *, within_s: float = 600) -> dict[str, Any]:
        """Return the status of a job once it has ended, whichever way."""
        self.wait_for(
            lambda: self.job(job_id)["job_status"] in FINISHED, f"job {job_id} to end", within_s=within_s
        )
        return self.job(job_id)

    def wait_for(
        self, is_so: Callable[[], bool], what: str, *, within_s: float, every_s: float = 0.5
    ) -> None:
        """Return once `is_so()`. Raises AssertionError with the end of the log."""
        until = time.monotonic() + within_s
        while not is_so():
            process = self._process
            if process is not None and process.poll() is not None:
                raise AssertionError(f"the service ended with {process.returncode}:\n{self.log()[-4000:]}")
            if time.monotonic() > until:
                raise AssertionError(f"waited {within_s:g} s for {what}:\n{self.log()[-4000:]}")
            time.sleep(every_s)

    def _is_healthy(self) -> bool:
        try:
            return self.get("/health", timeout=2).ok
        except requests.RequestException:
            return False


def _without_our_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables that would change how the service behaves."""
    own = {line.name for line in SETTINGS_TABLE} - {"REQUESTS_CA_BUNDLE"}
    return {name: value for name, value in environment.items() if name not in own}
