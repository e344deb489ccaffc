"""The smart tools through HTTP: boxes with jitter, centre clicks, clicks to IoU 0.80, and how fast.

    python -m benchmarks.smart_tools --data /path/to/pennfudan                    # before any training
    python -m benchmarks.smart_tools --data /path/to/pennfudan --train train100   # after one with defaults
    python -m benchmarks.smart_tools --data ... --backend URL --project 7 --trained-on train100    # running

The data folder holds `tasks_brush.json`, `splits.json` and `images/`. Images are fetched over HTTP from a
server of this script's; a service is started unless --backend names one. GrabCut runs beside it on the same
boxes. Figures are appended to benchmarks/results/smart_tools.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests

from backend.core.geometry.instances import ImageSize
from backend.core.regions.brush_rle import decode_brush_rle
from benchmarks.live_service import append_result
from benchmarks.smart_tools_annotator import (
    Ask,
    LabelledImage,
    Mask,
    Scores,
    iou,
    load_brush_tasks,
    measure_image,
)
from harness.service_process import HOST, ServiceProcess, free_port

GRABCUT_ROUNDS = 5
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<KeyPointLabels name="keypoint" toName="image" smart="true">{labels}</KeyPointLabels>'
    '<RectangleLabels name="rectangle" toName="image" smart="true">{labels}</RectangleLabels>'
    '<BrushLabels name="label" toName="image">{labels}</BrushLabels></View>'
)


def main() -> int:
    """Measure, and append the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="tasks_brush.json")
    parser.add_argument("--split", default="val")
    parser.add_argument("--train", help="split to train on first, with defaults and pretrained: false")
    parser.add_argument("--backend", help="address of a service that runs already")
    parser.add_argument("--project", default="1")
    parser.add_argument("--trained-on", help="split that the project of a running service was trained on")
    parser.add_argument("--images", type=int, help="only so many images")
    parser.add_argument("--no-grabcut", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        images_url = stack.enter_context(served(options.data))
        if options.backend:
            backend = options.backend.rstrip("/")
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            service = stack.enter_context(ServiceProcess(folder / "data"))
            backend = service.url
        config = CONFIG.format(labels=label_tags(options.data / options.tasks))
        training_s = None
        if options.train:
            training_s = train(backend, options, config, images_url)
        wait_until_ready(backend, options.project, config)
        scores, grabcut, version = measure(backend, options, config, images_url)
    append_result(
        "smart_tools",
        {
            "data": options.data.name,
            "split": options.split,
            "trained_on": options.train or options.trained_on,
            "training_s": training_s,
            "model_version": version,
            **scores.summary(),
            **grabcut,
        },
    )
    return 0


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the data folder from another process; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield f"http://{HOST}:{port}"
    finally:
        server.terminate()
        server.wait(10)


def label_tags(tasks_file: Path) -> str:
    """Return a <Label> for every label in the tasks."""
    labels = {
        name
        for task in json.loads(tasks_file.read_text())
        for result in task["annotations"][0]["result"]
        for name in result["value"][result["type"]]
    }
    return "".join(f'<Label value="{label}"/>' for label in sorted(labels))


def train(backend: str, options: argparse.Namespace, config: str, images_url: str) -> float:
    """Train on a split with defaults and return the seconds it took."""
    wanted = set(json.loads((options.data / "splits.json").read_text())[options.train])
    tasks = [
        {**task, "data": {"image": f"{images_url}/{task['data']['image']}"}}
        for task in json.loads((options.data / options.tasks).read_text())
        if task["id"] in wanted
    ]
    body = {
        "annotations": tasks,
        "project": options.project,
        "label_config": config,
        "params": {"pretrained": False},
    }
    answer = requests.post(f"{backend}/train", json=body, timeout=100)
    answer.raise_for_status()
    job, started = answer.json()["job"], time.monotonic()
    while True:
        status = requests.post(f"{backend}/job_status", json={"job": job}, timeout=100).json()
        if status["job_status"] in ("finished", "failed", "stopped"):
            break
        time.sleep(3)
    if status["job_status"] != "finished":
        raise RuntimeError(f"the training {status['job_status']}: {status.get('error')}")
    return round(time.monotonic() - started, 1)


def wait_until_ready(backend: str, project: str, config: str) -> None:
    """Return once the service has loaded its networks: an empty prompt is answered quickly."""
    body = {
        "tasks": [{"id": 1, "data": {"image": "http://127.0.0.1:9/none.png"}}],
        "project": project,
        "label_config": config,
        "params": {"context": {"result": []}},
    }
    requests.post(f"{backend}/predict", json=body, timeout=100).raise_for_status()


def measure(
    backend: str, options: argparse.Namespace, config: str, images_url: str
) -> tuple[Scores, dict[str, float], str]:
    """Prompt for every object of the split; return the scores, GrabCut's, and the version that answered."""
    session = requests.Session()
    version = ""

    def ask_at(image: LabelledImage) -> Ask:
        def ask(task: dict[str, Any], prompts: list[dict[str, Any]]) -> Mask | None:
            nonlocal version
            body = {
                "tasks": [{"id": task["id"], "data": {"image": f"{images_url}/{task['data']['image']}"}}],
                "project": options.project,
                "label_config": config,
                "params": {"context": {"result": prompts}},
            }
            answer = session.post(f"{backend}/predict", json=body, timeout=100)
            answer.raise_for_status()
            entry = answer.json()["results"][0]
            version = entry["model_version"]
            if not entry["result"]:
                return None
            return decode_brush_rle(entry["result"][0]["value"]["rle"], image.size) > 127

        return ask

    scores = Scores()
    grabcut_ious: list[float] = []
    grabcut_ms: list[float] = []
    rng = np.random.default_rng(0)
    for count, image in enumerate(load_brush_tasks(options.data, options.tasks, options.split)):
        if options.images is not None and count >= options.images:
            break
        boxes: list[dict[str, Any]] = []
        inner = ask_at(image)

        def remember_boxes(
            task: dict[str, Any], prompts: list[dict[str, Any]], inner: Ask = inner, boxes: Any = boxes
        ) -> Mask | None:
            boxes += [p["value"] for p in prompts if p["type"] == "rectanglelabels"]
            return inner(task, prompts)

        measure_image(image, remember_boxes, scores, rng)
        if not options.no_grabcut:
            picture = cv2.imread(str(image.path))
            for value, truth in zip(boxes, image.masks, strict=True):
                started = time.perf_counter()
                found = grabcut(picture, value, image.size)
                grabcut_ms.append((time.perf_counter() - started) * 1000)
                grabcut_ious.append(iou(found, truth))
        sys.stderr.write(f"\r{count + 1} images, {len(scores.box_iou)} objects ")
    sys.stderr.write("\n")
    if not grabcut_ious:
        return scores, {}, version
    return (
        scores,
        {
            "grabcut_box_iou": round(float(np.mean(grabcut_ious)), 4),
            "grabcut_ms_median": round(float(np.median(grabcut_ms)), 1),
        },
        version,
    )


def grabcut(picture_bgr: Any, box_pct: dict[str, float], size: ImageSize) -> Mask:
    """Return OpenCV's GrabCut from a rectangle, bool [H, W]; the box itself where it fails."""
    x1, y1 = int(box_pct["x"] / 100 * size.width), int(box_pct["y"] / 100 * size.height)
    width = max(2, int(box_pct["width"] / 100 * size.width))
    height = max(2, int(box_pct["height"] / 100 * size.height))
    mask = np.zeros((size.height, size.width), dtype=np.uint8)
    try:
        cv2.grabCut(
            picture_bgr,
            mask,
            (x1, y1, width, height),
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            GRABCUT_ROUNDS,
            cv2.GC_INIT_WITH_RECT,
        )
    except cv2.error:
        mask[y1 : y1 + height, x1 : x1 + width] = cv2.GC_FGD
    return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))


if __name__ == "__main__":
    sys.exit(main())
