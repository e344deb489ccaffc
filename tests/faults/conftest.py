"""The service as a process, and small trainings that need no Label Studio: images travel inside the tasks."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.pictures import LABELS, draw_pictures, region_of
from harness.service_process import ServiceProcess
from tests.http_server import Answer, Seen, WebServer

CONFIG = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="rectangle" toName="image">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + "</RectangleLabels></View>"
)
SLOW_S = 3.0
# timm's tiny test network: seconds for an epoch, so that a kill in the middle is quick to provoke.
PARAMS = {"backbone": "test_resnet", "image_size": 224, "batch_size": 8, "pretrained": False}


def annotated_tasks(count: int = 12) -> list[dict[str, Any]]:
    """Return exported tasks whose images are data URIs."""
    tasks = []
    for index, picture in enumerate(draw_pictures(count, seed=3, size_wh=(240, 180))):
        uri = "data:image/jpeg;base64," + base64.b64encode(picture.as_jpeg()).decode()
        regions = [region_of(thing, "rectangle", "rectangle") for thing in picture.things]
        annotation = {"id": index + 1, "was_cancelled": False, "result": regions}
        tasks.append({"id": index + 1, "data": {"image": uri}, "annotations": [annotation]})
    return tasks


def train(service: ServiceProcess, *, epochs: int, project: str = "1.1700000000") -> Any:
    """POST /train and return the response."""
    body = {
        "project": project,
        "label_config": CONFIG,
        "annotations": annotated_tasks(),
        "params": {**PARAMS, "epochs": epochs},
    }
    return service.post("/train", body)


def predict(
    service: ServiceProcess,
    *,
    project: str = "1.1700000000",
    timeout: float = 60,
    images: Sequence[str] | None = None,
) -> Any:
    """POST /predict for one task, or for one task per image address, and return the response."""
    tasks = [{"id": task["id"], "data": task["data"]} for task in annotated_tasks(1)]
    if images is not None:
        tasks = [{"id": number, "data": {"image": url}} for number, url in enumerate(images, start=1)]
    return service.post(
        "/predict", {"tasks": tasks, "project": project, "label_config": CONFIG}, timeout=timeout
    )


def wait_for_epoch(service: ServiceProcess, job_id: str, epoch: int) -> None:
    """Return once the job has finished that many epochs."""
    service.wait_for(
        lambda: service.job(job_id)["progress"].get("epoch", 0) >= epoch,
        f"epoch {epoch}",
        within_s=120,
        every_s=0.2,
    )


@pytest.fixture
def slow_images() -> Iterator[tuple[WebServer, list[str]]]:
    """Addresses of images that take a while to come, and the server that tells who asked for them."""
    server = WebServer()
    urls = []
    for number, picture in enumerate(draw_pictures(4, seed=4, size_wh=(240, 180))):
        server.routes[f"/{number}.jpg"] = partial(_answer_later, Answer(picture.as_jpeg()))
        urls.append(f"{server.url}/{number}.jpg")
    yield server, urls
    server.close()


def _answer_later(answer: Answer, seen: Seen) -> Answer:
    time.sleep(SLOW_S)
    return answer


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Our service with an embedded Redis."""
    with ServiceProcess(tmp_path / "data", OMP_NUM_THREADS="1") as process:
        yield process
