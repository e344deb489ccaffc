"""Train YOLO11n-pose from scratch on key points of Label Studio tasks and write its predictions.

Runs the peer's own command line, so it only needs the environment of requirements.txt:

    .venv-peers/bin/python benchmarks/peers/yolo_pose.py --data DATA --out OUT

DATA holds `tasks.json`, `splits.json` and `images/`; each image shows one object, whose box is the one around
its points, widened by BOX_MARGIN of the image on each side, since the peer finds points only inside of boxes.
Writes OUT/predictions.json (Label Studio predictions of the held-out tasks: the points of the best object of
each image) and prints one JSON line with the seconds of training.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

BOX_MARGIN = 0.03
SIDES = ("left", "right")


def points_of(task: dict) -> dict[str, tuple[float, float]]:
    """Places of the points of a task by label, in fractions of the image."""
    regions = task["annotations"][0]["result"]
    return {r["value"]["keypointlabels"][0]: (r["value"]["x"] / 100, r["value"]["y"] / 100) for r in regions}


def mirrored(names: list[str]) -> list[int]:
    """For each name the place of the one that it becomes in a mirror, as the peer wants it."""
    left, right = SIDES
    swapped = [n.replace(left, "\0").replace(right, left).replace("\0", right) for n in names]
    return [names.index(other) if other in names else k for k, other in enumerate(swapped)]


def write_split(tasks: list[dict], names: list[str], data: Path, out: Path, split: str) -> None:
    images, labels = out / "images" / split, out / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for task in tasks:
        source = data / task["data"]["image"]
        shutil.copy(source, images / source.name)
        points = points_of(task)
        if not points:
            continue
        xs, ys = zip(*points.values(), strict=True)
        left, top = max(min(xs) - BOX_MARGIN, 0), max(min(ys) - BOX_MARGIN, 0)
        right, bottom = min(max(xs) + BOX_MARGIN, 1), min(max(ys) + BOX_MARGIN, 1)
        numbers = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        for name in names:
            numbers += [*points[name], 2] if name in points else [0, 0, 0]
        (labels / f"{source.stem}.txt").write_text(" ".join(["0", *(f"{n:.6f}" for n in numbers)]))


def predictions_of(run: Path, tasks: list[dict], names: list[str]) -> list[dict]:
    """Read the label files that the peer wrote; one Label Studio prediction per task."""
    out = []
    for task in tasks:
        path = run / "labels" / f"{Path(task['data']['image']).stem}.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        # class, box (4), then x, y and the chance that it shows for each point, then the object's score
        best = max(([float(n) for n in line.split()] for line in lines), key=lambda n: n[-1], default=[])
        regions = []
        for k, name in enumerate(names if best else []):
            x, y, seen = best[5 + 3 * k : 8 + 3 * k]
            value = {"x": 100 * x, "y": 100 * y, "width": 0.75, "keypointlabels": [name]}
            base = {"from_name": "label", "to_name": "image", "type": "keypointlabels"}
            regions.append({**base, "value": value, "score": best[-1] * seen})
        out.append({"task": task["id"], "result": regions, "score": best[-1] if best else 0.0})
    return out


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    tasks = json.loads((args.data / "tasks.json").read_text())
    splits = json.loads((args.data / "splits.json").read_text())
    train, val = ([t for t in tasks if t["id"] in set(splits[split])] for split in ("train", "val"))
    names = sorted({name for task in train for name in points_of(task)})
    out = args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    write_split(train, names, args.data, out, "train")
    write_split(val, names, args.data, out, "val")
    (out / "data.yaml").write_text(
        f"path: {out}\ntrain: images/train\nval: images/val\nnames:\n  0: object\n"
        f"kpt_shape: [{len(names)}, 3]\nflip_idx: {mirrored(names)}\n"
    )
    yolo = str(Path(sys.executable).with_name("yolo"))
    shared = [f"imgsz={args.image_size}", "device=cpu", f"project={out}", "exist_ok=True"]
    start = time.monotonic()
    training = ["model=yolo11n-pose.yaml", f"data={out / 'data.yaml'}", f"epochs={args.epochs}"]
    training += [f"batch={args.batch}", f"seed={args.seed}", "pretrained=False", "plots=False", "amp=False"]
    command = [yolo, "pose", "train", *training, *shared, "workers=2", "name=train"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds = time.monotonic() - start
    asking = [f"model={out / 'train' / 'weights' / 'best.pt'}", f"source={out / 'images' / 'val'}"]
    asking += ["conf=0.01", "max_det=20", "save=False", "save_txt=True", "save_conf=True", "verbose=False"]
    command = [yolo, "pose", "predict", *asking, *shared, "name=predict"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (out / "predictions.json").write_text(json.dumps(predictions_of(out / "predict", val, names)))
    row = {"peer": "yolo11n-pose", "data": args.data.name, "images": len(train), "epochs": args.epochs}
    print(json.dumps({**row, "seed": args.seed, "train_seconds": round(seconds, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
