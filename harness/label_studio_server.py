"""A real Label Studio for one test session or demo, thrown away afterwards.

It lives in its own environment; `LABEL_STUDIO_BIN` names the program (default: `.venv-label-studio`).
Nothing leaves the machine: analytics and update checks are off and outgoing requests meet a closed port.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from harness.service_process import HOST, ROOT, free_port

START_TIMEOUT_S = 600.0
CALL_TIMEOUT_S = 150.0
# An action works through all tasks of a project before it answers.
ACTION_TIMEOUT_S = 900
# The bearer made from a personal access token lives for five minutes.
BEARER_LIFETIME_S = 200.0
_CLOSED_PROXY = f"http://{HOST}:9"


def find_label_studio() -> str:
    """Return the path of the label-studio program. Raises FileNotFoundError saying how to get one."""
    named = os.environ.get("LABEL_STUDIO_BIN") or str(ROOT / ".venv-label-studio" / "bin" / "label-studio")
    found = shutil.which(named)
    if found is None:
        raise FileNotFoundError(f"there is no label-studio at {named}; `make e2e` installs one there")
    return found


class LabelStudio:
    """One running Label Studio and its HTTP API, used with the administrator's personal access token.

    local_files_root: folder whose files a local storage may serve. public_url: of a proxy in front of it.
    """

    email = "admin@example.com"
    password = "a-long-enough-password"
    legacy_token = "0123456789abcdef0123456789abcdef01234567"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        local_files_root: Path | None = None,
        public_url: str | None = None,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = public_url or f"http://{HOST}:{self.port}"
        self.local_files_root = local_files_root
        self.access_token = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self._bearer = ""
        self._bearer_until = 0.0

    # -- life ----------------------------------------------------------------

    def start(self) -> LabelStudio:
        """Start it, wait until it answers, and make an access token."""
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    find_label_studio(), "start", "--no-browser",
                    "--internal-host", HOST, "--port", str(self.port), "--log-level", "WARNING",
                ],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_it_answers()
            self.access_token = self._make_access_token()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process and everything it started."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def __enter__(self) -> LabelStudio:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log_path(self) -> Path:
        """Where its output goes."""
        return self.folder / "label-studio.log"

    def _environment(self) -> dict[str, str]:
        # Label Studio also reads HOST, PORT, DEBUG and the like: ours must not leak in.
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        environment |= {
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder),
            "LABEL_STUDIO_USERNAME": self.email,
            "LABEL_STUDIO_PASSWORD": self.password,
            "LABEL_STUDIO_USER_TOKEN": self.legacy_token,
            "LABEL_STUDIO_HOST": self.url,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "false",
            "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
            "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_SENTRY_DSN": "",
            "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
        }
        environment |= dict.fromkeys(
            ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _CLOSED_PROXY
        )
        if self.local_files_root:
            environment["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"] = "true"
            environment["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(self.local_files_root)
        return environment

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                if self._session.get(f"{self.url}/health/", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.5)
        tail = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"Label Studio did not come up within {START_TIMEOUT_S:.0f} s:\n{tail}")

    # -- who we are ------------------------------------------------------------

    def login(self) -> requests.Session:
        """Return a session logged in as a browser would be."""
        session = requests.Session()
        session.trust_env = False
        page = f"{self.url}/user/login/"
        session.get(page, timeout=30)
        form = {
            "email": self.email,
            "password": self.password,
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        session.post(page, data=form, headers={"Referer": page}, timeout=30).raise_for_status()
        session.headers.update({"X-CSRFToken": str(session.cookies["csrftoken"]), "Referer": self.url})
        return session

    def browser_cookies(self) -> list[dict[str, str]]:
        """Return the cookies of a logged-in browser as Playwright wants them."""
        return [{"name": str(c.name), "value": str(c.value), "url": self.url} for c in self.login().cookies]

    def allow_legacy_tokens(self, allowed: bool) -> None:
        """Set whether legacy tokens (`Authorization: Token ...`) are taken; a stock one refuses them."""
        self.call("POST", "/api/jwt/settings", {"legacy_api_tokens_enabled": allowed})

    def _make_access_token(self) -> str:
        answer = self.login().post(f"{self.url}/api/token/", json={}, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["token"])

    def _authorization(self) -> str:
        if time.monotonic() > self._bearer_until:
            answer = self._session.post(
                f"{self.url}/api/token/refresh/", json={"refresh": self.access_token}, timeout=30
            )
            answer.raise_for_status()
            self._bearer = answer.json()["access"]
            self._bearer_until = time.monotonic() + BEARER_LIFETIME_S
        return f"Bearer {self._bearer}"

    # -- the API -----------------------------------------------------------------

    def call(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = CALL_TIMEOUT_S, **options: Any
    ) -> Any:
        """Call the API; return decoded JSON, None for an empty answer. Raises on an error status."""
        answer = self._session.request(
            method,
            self.url + quote(path, safe="/?=&%"),
            json=body,
            headers={"Authorization": self._authorization()},
            timeout=timeout_s,
            **options,
        )
        if not answer.ok:
            raise RuntimeError(f"{method} {path} -> {answer.status_code}: {answer.text[:1000]}")
        return answer.json() if answer.content else None

    def create_project(self, label_config: str, **fields: Any) -> dict[str, Any]:
        """Create a project and return it."""
        return dict(self.call("POST", "/api/projects/", {"label_config": label_config, **fields}))

    def upload(self, project_id: int, content: bytes, name: str) -> str:
        """Upload a file without making a task of it; return the `/data/upload/...` reference."""
        answer = self.call(
            "POST",
            f"/api/projects/{project_id}/import?commit_to_project=false",
            files={"file": (name, content)},
        )
        return "/data/" + self.call("GET", f"/api/import/file-upload/{answer['file_upload_ids'][0]}")["file"]

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Import tasks (with annotations, if they carry some); return their ids in order."""
        answer = self.call("POST", f"/api/projects/{project_id}/import?return_task_ids=true", list(tasks))
        return sorted(answer["task_ids"])

    def add_local_storage(self, project_id: int, folder: Path) -> None:
        """Let the project use the files of a folder below `local_files_root`."""
        self.call(
            "POST",
            "/api/storages/localfiles/",
            {"project": project_id, "path": str(folder), "use_blob_urls": True},
        )

    def connect(self, project_id: int, url: str, **fields: Any) -> int:
        """Connect an ML backend as Settings > Model does; return the model's id."""
        body = {
            "project": project_id,
            "url": url,
            "title": "learning backend",
            "auth_method": "NONE",
            **fields,
        }
        return int(self.call("POST", "/api/ml/", body)["id"])

    def start_training(self, ml_id: int) -> None:
        """Press Start Training."""
        self.call("POST", f"/api/ml/{ml_id}/train", {})

    def model(self, ml_id: int) -> dict[str, Any]:
        """Return the connected model (state, version); makes Label Studio call /health and /setup."""
        return dict(self.call("GET", f"/api/ml/{ml_id}"))

    def data_manager_action(self, action: str, project_id: int, task_ids: Sequence[int] | None = None) -> Any:
        """Run an action of the Data Manager on some tasks, or on all."""
        selected = (
            {"all": True, "excluded": []} if task_ids is None else {"all": False, "included": list(task_ids)}
        )
        body = {
            "project": str(project_id),
            "selectedItems": selected,
            "filters": {"conjunction": "and", "items": []},
        }
        path = f"/api/dm/actions/?id={action}&project={project_id}"
        return self.call("POST", path, body, timeout_s=ACTION_TIMEOUT_S)

    def retrieve_predictions(self, project_id: int, task_ids: Sequence[int] | None = None) -> Any:
        """Choose Retrieve Predictions."""
        return self.data_manager_action("retrieve_tasks_predictions", project_id, task_ids)

    def predictions(self, task_id: int) -> list[dict[str, Any]]:
        """Return what is stored for a task; asks the backend nothing."""
        return list(self.call("GET", f"/api/predictions/?task={task_id}"))

    def open_task(self, task_id: int) -> dict[str, Any]:
        """Load a task as the editor does; may make Label Studio call /predict."""
        return dict(self.call("GET", f"/api/tasks/{task_id}/"))

    def annotations(self, task_id: int) -> list[dict[str, Any]]:
        """Return the annotations of a task."""
        return list(self.call("GET", f"/api/tasks/{task_id}/annotations/"))

    def annotate(self, task_id: int, result: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Submit an annotation."""
        return dict(self.call("POST", f"/api/tasks/{task_id}/annotations/", {"result": list(result)}))

    def interactive(self, ml_id: int, task_id: int, context: Any) -> dict[str, Any]:
        """Send what the editor sends for a smart tool."""
        return dict(
            self.call(
                "POST", f"/api/ml/{ml_id}/interactive-annotating", {"task": task_id, "context": context}
            )
        )

    def export(self, project_id: int) -> list[dict[str, Any]]:
        """Return the JSON export of the annotated tasks."""
        return list(self.call("GET", f"/api/projects/{project_id}/export?exportType=JSON"))


def redact(text: str) -> str:
    """Return a log without anything that looks like a token, for printing when a test fails."""
    return re.sub(
        r"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}|\b[0-9a-f]{40}\b", "<token>", text
    )


def as_json(value: Any) -> str:
    """Return indented JSON, for messages of failing assertions."""
    return json.dumps(value, indent=1, default=str)[:4000]
