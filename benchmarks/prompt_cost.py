"""What surrounds a prompt costs: regions that the task has already, and 2,000 images through the cache.

    python -m benchmarks.prompt_cost                 # starts a service with two web processes
    python -m benchmarks.prompt_cost --images 200    # fewer images through the cache

Prompts go over HTTP, each on a connection of its own, so that both web processes get some; images are fetched
over HTTP from a server of this script's. Figures are appended to benchmarks/results/prompt_cost.jsonl.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests

from backend.core.regions.brush_rle import encode_brush_rle
from benchmarks.live_service import append_result
from benchmarks.smart_tools import served
from demo.pictures import draw_pictures
from harness.service_process import ServiceProcess

CACHE_BYTES = 64 << 20
PROCESSES = 2
REGIONS = 300
ROUNDS = 25
SIZE_WH = (640, 480)
SMALL_WH = (256, 192)
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<KeyPointLabels name="point" toName="image" smart="true"><Label value="Coin"/></KeyPointLabels>'
    '<BrushLabels name="brush" toName="image"><Label value="Coin"/></BrushLabels></View>'
)


def main() -> int:
    """Measure, and append the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000, help="how many go through the cache")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = root / "pictures"
        pictures.mkdir()
        (pictures / "one.jpg").write_bytes(draw_pictures(1, 0, SIZE_WH)[0].as_jpeg())
        for number, picture in enumerate(draw_pictures(20, 1, SMALL_WH)):
            (pictures / f"small-{number}.jpg").write_bytes(picture.as_jpeg())
        service = ServiceProcess(
            root / "data",
            WEB_WORKERS=str(PROCESSES),
            TRAIN_WORKERS="0",
            PREDICT_WORKERS="0",
            ENCODING_CACHE_BYTES=str(CACHE_BYTES),
        )
        with served(pictures) as images_url, service:
            service.wait_for(
                lambda: service.log().count("ready to predict") >= PROCESSES,
                "the networks to be loaded",
                within_s=300,
            )
            result = {
                "processes": PROCESSES,
                **measure_regions(service, f"{images_url}/one.jpg"),
                **measure_cache(service, images_url, options.images),
            }
    append_result("prompt_cost", result)
    return 0


def ask(service: ServiceProcess, image: str, annotations: list[dict[str, Any]]) -> tuple[float, int]:
    """Send one click; return milliseconds and the number of regions that came back."""
    value = {"x": 50.0, "y": 50.0, "width": 0.5, "keypointlabels": ["Coin"]}
    prompt = {"from_name": "point", "to_name": "image", "type": "keypointlabels", "value": value}
    body: dict[str, Any] = {
        "tasks": [{"id": 1, "data": {"image": image}, "annotations": annotations}],
        "project": "1",
        "label_config": CONFIG,
        "params": {"context": {"result": [prompt]}},
    }
    prepared = requests.Request("POST", f"{service.url}/predict", json=body).prepare()
    with requests.Session() as session:
        session.trust_env = False
        started = time.perf_counter()
        answer = session.send(prepared, timeout=100)
    took_ms = (time.perf_counter() - started) * 1000
    answer.raise_for_status()
    return took_ms, len(answer.json()["results"][0]["result"])


def measure_regions(service: ServiceProcess, image: str) -> dict[str, float]:
    """Return the median time of a further prompt with 0 and with 300 brush regions, taking turns."""
    crowded = [{"id": 1, "result": [painted(np.random.default_rng(k)) for k in range(REGIONS)]}]
    for _ in range(4 * PROCESSES):
        ask(service, image, [])
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone.append(ask(service, image, [])[0])
        beside.append(ask(service, image, crowded)[0])
    return {
        "further_prompt_ms": round(statistics.median(alone), 1),
        f"further_prompt_with_{REGIONS}_regions_ms": round(statistics.median(beside), 1),
        "added_ms": round(statistics.median(beside) - statistics.median(alone), 1),
    }


def painted(rng: np.random.Generator) -> dict[str, Any]:
    """Return a brush region as large as an object usually is."""
    width, height = SIZE_WH
    mask = np.zeros((height, width), np.uint8)
    centre = (int(rng.integers(width)), int(rng.integers(height)))
    radii = (int(rng.integers(20, 90)), int(rng.integers(20, 90)))
    cv2.ellipse(mask, centre, radii, float(rng.integers(180)), 0, 360, 1, -1)
    value = {"format": "rle", "rle": encode_brush_rle(mask.astype(bool)), "brushlabels": ["Coin"]}
    return {"id": "r", "from_name": "brush", "to_name": "image", "type": "brushlabels", "value": value}


def measure_cache(service: ServiceProcess, images_url: str, count: int) -> dict[str, Any]:
    """Return what the cache holds at most while `count` images pass through it, in files and in memory."""
    shared = service.data_dir / "cache" / "encodings"
    most_files, answered = 0, 0
    memory: list[float] = []
    for number in range(count):
        image = f"{images_url}/small-{number % 20}.jpg?{number}"
        answered += bool(ask(service, image, [])[1])
        if number % 20 == 0 or number == count - 1:
            most_files = max(most_files, sum(path.stat().st_size for path in shared.glob("*")))
            memory.append(web_memory_mb(service))
    warm = memory[len(memory) // 4]
    return {
        "images": count,
        "answered": answered,
        "cache_bound_mb": CACHE_BYTES / 1e6,
        "files_most_mb": round(most_files / 1e6, 1),
        "web_memory_after_a_quarter_mb": warm,
        "web_memory_at_the_end_mb": memory[-1],
    }


def web_memory_mb(service: ServiceProcess) -> float:
    """Return the resident memory of all web processes together."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            environ = (status.parent / "environ").read_bytes()
            if b"gunicorn" in (status.parent / "cmdline").read_bytes() and (
                f"DATA_DIR={service.data_dir}".encode() in environ
            ):
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                total += int(lines["VmRSS"].split()[0])
        except OSError:
            continue
    return round(total / 1000, 1)


if __name__ == "__main__":
    sys.exit(main())
