"""What the load measurements share: a running service, an image server, and results files that grow."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from demo.pictures import LABELS, draw_pictures, region_of
from harness.process_tree import descendants
from harness.service_process import HOST, ServiceProcess, free_port

RESULTS = Path(__file__).resolve().parent / "results"
CONFIG = (
    '<View><Image name="image" value="$image"/><PolygonLabels name="polygon" toName="image">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + "</PolygonLabels></View>"
)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def image_server(
    folder: Path, count: int, *, seed: int = 0
) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """Serve `count` distinct 640 x 480 pictures from another process; yield addresses and annotated tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    urls, tasks = [], []
    for index, picture in enumerate(draw_pictures(count, seed, size_wh=(640, 480))):
        (folder / f"{index}.jpg").write_bytes(picture.as_jpeg())
        urls.append(f"http://{HOST}:{port}/{index}.jpg")
        regions = [region_of(thing, "polygon", "polygon") for thing in picture.things]
        annotation = {"id": index + 1, "was_cancelled": False, "result": regions}
        tasks.append({"id": index + 1, "data": {"image": urls[-1]}, "annotations": [annotation]})
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        yield urls, tasks
    finally:
        server.terminate()
        server.wait(10)


def start_training(
    service: ServiceProcess, project: str, tasks: list[dict[str, Any]], params: Mapping[str, Any]
) -> str:
    """Queue a training on the given tasks and return its job id."""
    body = {"project": project, "label_config": CONFIG, "annotations": tasks, "params": dict(params)}
    answer = service.post("/train", body)
    answer.raise_for_status()
    return str(answer.json()["job"])


def train_and_wait(
    service: ServiceProcess, project: str, tasks: list[dict[str, Any]], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Train and return the job's status. Raises RuntimeError if it did not finish."""
    status = service.wait_for_job(start_training(service, project, tasks, params), within_s=3600)
    if status["job_status"] != "finished":
        raise RuntimeError(f"the training {status['job_status']}: {status.get('error')}")
    return status


def predict(service: ServiceProcess, project: str, references: Mapping[int, str]) -> list[Any]:
    """Ask for predictions of tasks, given as image address by task id; return the entries."""
    tasks = [{"id": task_id, "data": {"image": reference}} for task_id, reference in references.items()]
    answer = service.post("/predict", {"tasks": tasks, "project": project, "label_config": CONFIG})
    answer.raise_for_status()
    return list(answer.json()["results"])


def resident_bytes(service: ServiceProcess) -> dict[str, int]:
    """Return the resident memory of the service's processes, added up by role."""
    sizes: dict[str, int] = {}
    for pid, command in descendants(service.pid).items():
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
        sizes[_role(command)] = sizes.get(_role(command), 0) + pages * PAGE_BYTES
    return sizes


def open_files(service: ServiceProcess) -> dict[str, int]:
    """Return how many file descriptors the service's processes hold, added up by role."""
    counts: dict[str, int] = {}
    for pid, command in descendants(service.pid).items():
        try:
            held = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue
        counts[_role(command)] = counts.get(_role(command), 0) + held
    return counts


def _role(command: str) -> str:
    for word, role in (("redis", "redis"), ("gunicorn", "web"), ("_wsgi", "web")):
        if word in command:
            return role
    return "worker"


def append_result(name: str, figures: Mapping[str, Any]) -> None:
    """Append one JSON line to `benchmarks/results/<name>.jsonl` and show it."""
    line = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    sys.stdout.write(json.dumps(line, indent=1) + "\n")


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of them lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
