"""A picture of 3000 x 3000 with 50 things through HTTP, beside the bare network on the same tiles.

    python -m benchmarks.large_predict --shape brush --data-dir KEPT [--rounds 7]

KEPT is a data folder of the service with one version that cuts large pictures into tiles. Where there is
none, the first run trains one there: a few epochs on drawn pictures, as the cost of a prediction hardly
depends on how good the version is. `--shape` says what the things are annotated with, and so whether masks
are predicted. Each round asks for one picture under an address that no cache knows; it is fetched from
another process. After each answer, in turns because a shared machine changes its pace, this process times the
bare network on ready tensors of the same tiles, as `benchmarks.predict_rate` does. Seconds are of the clock
and of the processor (the web process; this one for the bare network). Appends a line to
benchmarks/results/large_predict.jsonl; `times_bare` are medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.core.geometry.instances import TrainingTarget
from backend.core.regions.kind import FoundObject
from backend.core.regions.kinds import KINDS
from backend.nn.detector.predictor import load_predictor, read_card
from backend.service.engine.cut_images import CutImages
from backend.service.engine.work_items import DetectionLimits
from backend.training.parameters import TrainingParams
from benchmarks.live_service import append_result
from benchmarks.predict_rate import WAYS, BareNetwork
from benchmarks.smart_tools import served
from benchmarks.tile_pictures import LABELS, draw_picture
from harness.process_tree import descendants
from harness.service_process import ServiceProcess

SIDE_PX, THINGS, LENGTHS_PX = 3000, 50, (28.0, 40.0)
LEARNED = 4
SHAPES = ("rectangle", "brush")
PROJECT = "9025.1764000000"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="brush")
    parser.add_argument("--data-dir", type=Path, required=True, help="the version is kept here")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=6, help="of the training, where there is no version")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = [draw(folder, number) for number in range(LEARNED + 1)]
        url = stack.enter_context(served(folder))
        if not list(args.data_dir.glob("projects/*/versions/*/card.json")):
            tasks = [task_of(url, number, targets[number], args.shape) for number in range(LEARNED)]
            body = {"project": PROJECT, "label_config": config_of(args.shape, LABELS), "annotations": tasks}
            train(args.data_dir, body, args.epochs)
        (version,) = (card.parent for card in args.data_dir.glob("projects/*/versions/*/card.json"))
        labels = read_card(version).labels
        body = {"project": version.parent.parent.name, "label_config": config_of(args.shape, labels)}
        data_dir = folder / "service" / "data"
        shutil.copytree(args.data_dir / "projects", data_dir / "projects")
        service = stack.enter_context(ServiceProcess(data_dir))
        row = measure(service, body, f"{url}/{LEARNED}.jpg", folder / f"{LEARNED}.jpg", version, args.rounds)
    command = (
        f"python -m benchmarks.large_predict --shape {args.shape} --data-dir KEPT --rounds {args.rounds}"
    )
    append_result("large_predict", {"command": command, "shape": args.shape, **row})


def measure(
    service: ServiceProcess, body: dict[str, Any], url: str, file: Path, version: Path, rounds: int
) -> dict[str, Any]:
    """Return how long answers and the bare network take, and how many times as long the answers."""
    predictor = load_predictor(version)
    assert predictor.in_tiles is not None, "the version does not cut pictures of 3000 px"
    threshold = TrainingParams.confidence_threshold
    limits = DetectionLimits(threshold, TrainingParams.nms_threshold)
    with Image.open(file) as picture:
        tiles = list(CutImages(predictor.in_tiles, [as_rgb(picture)], limits).views())
    bare = BareNetwork(predictor.in_tiles.uncut, tiles, threshold)

    def ask(marker: str) -> list[Any]:
        task = {"id": 1, "data": {"image": f"{url}?{marker}"}}
        answer = service.post("/predict", {**body, "tasks": [task]})
        answer.raise_for_status()
        results: list[Any] = answer.json()["results"]
        assert results[0], "the picture got no prediction"
        return results

    found = len(ask("first")[0]["result"])
    clock, processor, bare_clock, bare_processor = [], [], [], []
    for number in range(rounds):
        used, started = seconds_used(service.pid), time.monotonic()
        ask(str(number))
        clock.append(time.monotonic() - started)
        processor.append(seconds_used(service.pid) - used)
        used_here = time.process_time()
        bare_clock.append(bare.seconds(first=number))
        bare_processor.append((time.process_time() - used_here) / len(WAYS))
    return {
        "tiles": len(tiles),
        "found": found,
        "seconds": [round(value, 2) for value in clock],
        "bare_seconds": {way: [round(one[k], 2) for one in bare_clock] for k, way in enumerate(WAYS)},
        "times_bare": {
            way: round(statistics.median(a / b[k] for a, b in zip(clock, bare_clock, strict=True)), 3)
            for k, way in enumerate(WAYS)
        },
        "processor_seconds": [round(value, 2) for value in processor],
        "bare_processor_seconds": [round(value, 2) for value in bare_processor],
        "times_bare_processor": round(
            statistics.median(a / b for a, b in zip(processor, bare_processor, strict=True)), 3
        ),
        "load_average": round(os.getloadavg()[0], 1),
    }


def config_of(shape: str, names: Sequence[str]) -> str:
    """Return a labeling config that draws with one kind of region."""
    (kind,) = (kind for kind in KINDS if kind.name == shape)
    labels = "".join(f'<Label value="{label}"/>' for label in names)
    return (
        f'<View><Image name="image" value="$image"/><{kind.labels_title} name="thing" toName="image">'
        f"{labels}</{kind.labels_title}></View>"
    )


def draw(folder: Path, number: int) -> TrainingTarget:
    """Keep a drawn picture as `NUMBER.jpg`; return what it shows."""
    pixels, target = draw_picture(SIDE_PX, THINGS, seed=number, lengths_px=LENGTHS_PX)
    Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
    return target


def task_of(url: str, number: int, target: TrainingTarget, shape: str) -> dict[str, Any]:
    """Return an annotated task."""
    (kind,) = (kind for kind in KINDS if kind.name == shape)
    results = []
    for row, box in enumerate(target.boxes_xyxy_px):
        value = kind.write(FoundObject(target.size, box, target.masks[row]))
        assert value is not None
        results.append(
            {
                "id": f"{number}-{row}",
                "type": kind.labels_tag,
                "from_name": "thing",
                "to_name": "image",
                "original_width": target.size.width,
                "original_height": target.size.height,
                "image_rotation": 0,
                "value": {**value, kind.labels_tag: [LABELS[target.label_indices[row]]]},
            }
        )
    annotation = {"id": number + 1, "was_cancelled": False, "result": results}
    return {"id": number + 1, "data": {"image": f"{url}/{number}.jpg"}, "annotations": [annotation]}


def train(data_dir: Path, body: dict[str, Any], epochs: int) -> None:
    """Train the version that is measured."""
    with ServiceProcess(data_dir) as service:
        params = {"pretrained": False, "epochs": epochs}
        answer = service.post("/train", {**body, "params": params})
        answer.raise_for_status()
        status = service.wait_for_job(answer.json()["job"], within_s=3600)
        if status["job_status"] != "finished":
            raise SystemExit(f"the training {status['job_status']}: {status.get('error')}")


def as_rgb(picture: Image.Image) -> Any:
    """Return a picture's pixels, uint8 [H, W, 3]."""
    return np.asarray(picture.convert("RGB"))


def seconds_used(pid: int) -> float:
    """Return the processor's seconds of the web processes below a supervisor."""
    ticks = 0
    for child, command in descendants(pid).items():
        if "gunicorn" in command or "_wsgi" in command:
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
