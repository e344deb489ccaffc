"""Train YOLO11n (or its twin for masks or turned boxes) on Label Studio tasks and write its predictions.

From scratch, on the images of one split.

Runs the peer's own command line, so it only needs the environment of requirements.txt:

    .venv-peers/bin/python benchmarks/peers/yolo.py --data DATA --tasks tasks.json --out OUT \
        [--kind segment|turned]

DATA holds the tasks, `splits.json` and `images/`. Writes OUT/predictions.json (Label Studio predictions of
the held-out tasks) and prints one JSON line with the seconds of training. `--time-epochs N` (2 or more) stops
the same training after N epochs, for its pace alone: every epoch to come counts like those after the first.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

MODELS = {
    "detect": ("detect", "yolo11n.yaml"),
    "segment": ("segment", "yolo11n-seg.yaml"),
    "turned": ("obb", "yolo11n-obb.yaml"),
}
"""The peer's own task and network, by the kind of what is learned."""


def shape_points(region: dict) -> list[tuple[float, float]]:
    """Outline of a polygon or rectangle, in fractions of the image."""
    value = region["value"]
    if "points" in value:
        return [(x / 100, y / 100) for x, y in value["points"]]
    width_px, height_px = region["original_width"], region["original_height"]
    turn = math.radians(value.get("rotation", 0))
    cos, sin = math.cos(turn), math.sin(turn)
    left, top = value["x"] * width_px / 100, value["y"] * height_px / 100
    w, h = value["width"] * width_px / 100, value["height"] * height_px / 100
    corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
    return [
        ((left + x * cos - y * sin) / width_px, (top + x * sin + y * cos) / height_px) for x, y in corners
    ]


def turned_rectangle(numbers: list[float], width_px: int, height_px: int) -> dict:
    """The value of the rectangle with these corners, x and y in turn, in fractions of the image."""
    corners = [(x * width_px, y * height_px) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    (ax, ay), (bx, by), (cx, cy) = corners[:3]
    if (bx - ax) * (cy - by) < (by - ay) * (cx - bx):  # counter-clockwise
        (ax, ay), (bx, by), (cx, cy) = corners[3], corners[2], corners[1]
    return {
        "x": 100 * ax / width_px,
        "y": 100 * ay / height_px,
        "width": 100 * math.hypot(bx - ax, by - ay) / width_px,
        "height": 100 * math.hypot(cx - bx, cy - by) / height_px,
        "rotation": math.degrees(math.atan2(by - ay, bx - ax)) % 360,
    }


def label_of(region: dict) -> str:
    return region["value"][region["type"]][0]


def write_split(tasks: list[dict], names: list[str], data: Path, out: Path, split: str, kind: str) -> None:
    images, labels = out / "images" / split, out / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for task in tasks:
        source = data / task["data"]["image"]
        shutil.copy(source, images / source.name)
        lines = []
        for region in task["annotations"][0]["result"]:
            points = shape_points(region)
            if kind != "detect":
                # The peer leaves out an image of which any corner lies outside.
                numbers = [min(max(n, 0.0), 1.0) for point in points for n in point]
            else:
                xs, ys = [p[0] for p in points], [p[1] for p in points]
                numbers = [
                    (min(xs) + max(xs)) / 2,
                    (min(ys) + max(ys)) / 2,
                    max(xs) - min(xs),
                    max(ys) - min(ys),
                ]
            lines.append(" ".join([str(names.index(label_of(region))), *(f"{n:.6f}" for n in numbers)]))
        (labels / f"{source.stem}.txt").write_text("\n".join(lines))


def predictions_of(run: Path, tasks: list[dict], names: list[str], kind: str) -> list[dict]:
    """Read the label files that the peer wrote; one Label Studio prediction per task."""
    out = []
    for task in tasks:
        size = next((r["original_width"], r["original_height"]) for r in task["annotations"][0]["result"])
        path = run / "labels" / f"{Path(task['data']['image']).stem}.txt"
        regions = []
        for line in path.read_text().splitlines() if path.exists() else []:
            index, *numbers, score = map(float, line.split())
            base = {
                "from_name": "label",
                "to_name": "image",
                "original_width": size[0],
                "original_height": size[1],
                "score": score,
            }
            label = [names[int(index)]]
            if kind == "segment":
                points = [[100 * x, 100 * y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
                regions.append(
                    {**base, "type": "polygonlabels", "value": {"points": points, "polygonlabels": label}}
                )
            elif kind == "turned":
                box = turned_rectangle(numbers, *size)
                regions.append(
                    {**base, "type": "rectanglelabels", "value": {**box, "rectanglelabels": label}}
                )
            else:
                cx, cy, w, h = (100 * n for n in numbers)
                box = {"x": cx - w / 2, "y": cy - h / 2, "width": w, "height": h, "rotation": 0}
                regions.append(
                    {**base, "type": "rectanglelabels", "value": {**box, "rectanglelabels": label}}
                )
        out.append({"task": task["id"], "result": regions, "score": 0.0})
    return out


def pace_of(command: list[str], results: Path, stop_after: int, epochs: int) -> tuple[float, float]:
    """Train until so many epochs stand in the peer's own table; return its seconds so far and for all."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=sys.stderr, start_new_session=True)
    try:
        ends: list[float] = []
        while len(ends) < stop_after:
            if process.poll() is not None:
                raise RuntimeError(f"the peer ended after {len(ends)} of {stop_after} epochs")
            time.sleep(0.2)
            ends = epoch_ends(results)
        seconds = time.monotonic() - start
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return seconds, seconds + (epochs - stop_after) * (ends[-1] - ends[0]) / (stop_after - 1)


def epoch_ends(results: Path) -> list[float]:
    """Return the seconds at which each epoch ended, as the peer counts them."""
    if not results.is_file():
        return []
    with results.open() as lines:
        return [float(row["time"]) for row in csv.DictReader(lines, skipinitialspace=True) if row["time"]]


def cost(epochs: int, images: int, seconds: float, seconds_for_all: float) -> dict:
    return {
        "epochs": epochs,
        "images_seen": epochs * images,
        "train_seconds": round(seconds, 1),
        "seconds_for_all_epochs": math.ceil(seconds_for_all),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", default="tasks.json")
    parser.add_argument("--train", default="train100")
    parser.add_argument("--first", type=int, help="use only the first N training ids")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", choices=list(MODELS), default="detect")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--time-epochs", type=int)
    args = parser.parse_args()

    tasks = json.loads((args.data / args.tasks).read_text())
    splits = json.loads((args.data / "splits.json").read_text())
    ids = splits[args.train][: args.first]
    train = [t for t in tasks if t["id"] in set(ids)]
    val = [t for t in tasks if t["id"] in set(splits["val"])]
    names = sorted({label_of(r) for t in tasks for r in t["annotations"][0]["result"]})
    out = args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    write_split(train, names, args.data, out, "train", args.kind)
    write_split(val, names, args.data, out, "val", args.kind)
    listing = "\n".join(f"  {i}: {json.dumps(n)}" for i, n in enumerate(names))
    (out / "data.yaml").write_text(f"path: {out}\ntrain: images/train\nval: images/val\nnames:\n{listing}\n")

    yolo = str(Path(sys.executable).with_name("yolo"))
    task, model = MODELS[args.kind]
    command = [
        yolo,
        task,
        "train",
        f"model={model}",
        f"data={out / 'data.yaml'}",
        f"epochs={args.epochs}",
        f"imgsz={args.image_size}",
        f"batch={args.batch}",
        "pretrained=False",
        "device=cpu",
        "plots=False",
        "amp=False",
        "workers=2",
        f"project={out}",
        "name=train",
        "exist_ok=True",
    ]
    row = {
        "peer": model.removesuffix(".yaml"),
        "data": args.data.name,
        "tasks": args.tasks,
        "images": len(train),
    }
    if args.time_epochs:
        seconds, scaled = pace_of(command, out / "train" / "results.csv", args.time_epochs, args.epochs)
        print(json.dumps({**row, **cost(args.time_epochs, len(train), seconds, scaled)}))
        return 0
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds = time.monotonic() - start
    subprocess.run(
        [
            yolo,
            task,
            "predict",
            f"model={out / 'train' / 'weights' / 'best.pt'}",
            f"source={out / 'images' / 'val'}",
            f"imgsz={args.image_size}",
            "conf=0.01",
            "max_det=100",
            "save=False",
            "save_txt=True",
            "save_conf=True",
            "device=cpu",
            f"project={out}",
            "name=predict",
            "exist_ok=True",
            "verbose=False",
        ],
        check=True,
        stdout=sys.stderr,
    )
    (out / "predictions.json").write_text(json.dumps(predictions_of(out / "predict", val, names, args.kind)))
    print(json.dumps({**row, **cost(args.epochs, len(train), seconds, seconds)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
