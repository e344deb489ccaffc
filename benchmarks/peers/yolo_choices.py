"""Train YOLO11n-cls from scratch on Label Studio tasks with one choice each, and print its accuracy.

Runs the peer's own command line, so it only needs the environment of requirements.txt:

    .venv-peers/bin/python benchmarks/peers/yolo_choices.py --data DATA/trashnet --out OUT

DATA/trashnet holds `tasks.json`, `splits.json` (train, val) and `images/`. Prints one JSON line: the
accuracy on the validation images and the seconds of training. YOLO has no task of several choices.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path


def choice_of(task: dict) -> str:
    return task["annotations"][0]["result"][0]["value"]["choices"][0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    tasks = {task["id"]: task for task in json.loads((args.data / "tasks.json").read_text())}
    splits = json.loads((args.data / "splits.json").read_text())
    out = args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    for split in ("train", "val"):
        for task_id in splits[split]:
            task = tasks[task_id]
            folder = out / "images" / split / choice_of(task)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(args.data / task["data"]["image"], folder)
    command = [
        str(Path(sys.executable).with_name("yolo")),
        "classify",
        "train",
        "model=yolo11n-cls.yaml",
        f"data={out / 'images'}",
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
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds = time.monotonic() - start
    with (out / "train" / "results.csv").open() as lines:
        rows = list(csv.DictReader(lines, skipinitialspace=True))
    # The peer keeps its best epoch by these same images, which flatters it.
    best = max(float(row["metrics/accuracy_top1"]) for row in rows)
    figures = {"peer": "yolo11n-cls", "data": args.data.name, "images": len(splits["train"])}
    print(
        json.dumps(
            {**figures, "choice_accuracy": best, "epochs": args.epochs, "train_seconds": round(seconds)}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
