"""Train YOLO11n on tiles of large pictures, predict with SAHI, and write what it found.

From scratch, on the pictures of one split, cut as a version of ours cuts them. It needs the environment of
requirements.txt:

    .venv-peers/bin/python benchmarks/peers/yolo_sahi.py --data DATA --side 1430 --overlap 0.2 --out OUT

DATA holds `tasks.json` (rectangles), `splits.json` and `images/`. Each tile is a training image, seen with
--image-size pixels, so fifty epochs of four tiles a picture are 200 views of it. A thing belongs to a tile
that shows at least a tenth of it, as SAHI has it. Writes OUT/predictions.json (Label Studio predictions of
the held-out tasks) and prints one JSON line with the seconds of training.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
from sahi import AutoDetectionModel
from sahi.predict import get_sliced_prediction
from sahi.slicing import get_slice_bboxes
from yolo import cost, label_of

LEAST_SHOWN = 0.1
"""SAHI's own `min_area_ratio`."""


def boxes_of(task: dict, names: list[str]) -> list[tuple[int, float, float, float, float]]:
    """Return label index and corners, in pixels, of each rectangle of a task."""
    boxes = []
    for region in task["annotations"][0]["result"]:
        value, width, height = region["value"], region["original_width"], region["original_height"]
        left, top = value["x"] * width / 100, value["y"] * height / 100
        right, bottom = left + value["width"] * width / 100, top + value["height"] * height / 100
        boxes.append((names.index(label_of(region)), left, top, right, bottom))
    return boxes


def write_tiles(tasks: list[dict], names: list[str], args: argparse.Namespace, out: Path, split: str) -> int:
    """Write the tiles of these tasks as the peer wants them; return how many there are."""
    images, labels = out / "images" / split, out / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    count = 0
    for task in tasks:
        source = args.data / task["data"]["image"]
        pixels = cv2.imread(str(source))
        height, width = pixels.shape[:2]
        for x1, y1, x2, y2 in tiles_of(width, height, args):
            lines = []
            for index, left, top, right, bottom in boxes_of(task, names):
                shown = (max(left, x1), max(top, y1), min(right, x2), min(bottom, y2))
                w, h = shown[2] - shown[0], shown[3] - shown[1]
                if w <= 0 or h <= 0 or w * h < LEAST_SHOWN * (right - left) * (bottom - top):
                    continue
                numbers = (
                    (shown[0] + w / 2 - x1) / (x2 - x1),
                    (shown[1] + h / 2 - y1) / (y2 - y1),
                    w / (x2 - x1),
                    h / (y2 - y1),
                )
                lines.append(" ".join([str(index), *(f"{n:.6f}" for n in numbers)]))
            name = f"{source.stem}_{x1}_{y1}"
            cv2.imwrite(str(images / f"{name}.png"), pixels[y1:y2, x1:x2])
            (labels / f"{name}.txt").write_text("\n".join(lines))
            count += 1
    return count


def tiles_of(width: int, height: int, args: argparse.Namespace) -> list[list[int]]:
    """Return the corners of SAHI's slices of a picture."""
    return get_slice_bboxes(
        height,
        width,
        slice_height=args.side,
        slice_width=args.side,
        auto_slice_resolution=False,
        overlap_height_ratio=args.overlap,
        overlap_width_ratio=args.overlap,
    )


def predictions_of(
    weights: Path, tasks: list[dict], names: list[str], args: argparse.Namespace
) -> list[dict]:
    """Return a Label Studio prediction for each task, from SAHI with its own defaults."""
    model = AutoDetectionModel.from_pretrained(
        model_type="ultralytics",
        model_path=str(weights),
        confidence_threshold=0.01,
        device="cpu",
        image_size=args.image_size,
    )
    out = []
    for task in tasks:
        found = get_sliced_prediction(
            str(args.data / task["data"]["image"]),
            model,
            slice_height=args.side,
            slice_width=args.side,
            overlap_height_ratio=args.overlap,
            overlap_width_ratio=args.overlap,
            verbose=0,
        )
        width, height = found.image_width, found.image_height
        regions = []
        for one in found.object_prediction_list:
            left, top, right, bottom = one.bbox.to_xyxy()
            value = {
                "x": 100 * left / width,
                "y": 100 * top / height,
                "width": 100 * (right - left) / width,
                "height": 100 * (bottom - top) / height,
                "rotation": 0,
                "rectanglelabels": [names[one.category.id]],
            }
            regions.append(
                {
                    "from_name": "label",
                    "to_name": "image",
                    "type": "rectanglelabels",
                    "original_width": width,
                    "original_height": height,
                    "score": float(one.score.value),
                    "value": value,
                }
            )
        out.append({"task": task["id"], "result": regions, "score": 0.0})
    return out


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", default="train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, required=True, help="of a tile, in pixels of the picture")
    parser.add_argument("--overlap", type=float, required=True, help="of neighbours, as a share of the side")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()

    tasks = json.loads((args.data / "tasks.json").read_text())
    splits = json.loads((args.data / "splits.json").read_text())
    train, val = ([t for t in tasks if t["id"] in set(splits[name])] for name in (args.train, "val"))
    names = sorted({label_of(r) for t in tasks for r in t["annotations"][0]["result"]})
    out = args.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    count = write_tiles(train, names, args, out, "train")
    write_tiles(val, names, args, out, "val")
    listing = "\n".join(f"  {i}: {json.dumps(n)}" for i, n in enumerate(names))
    (out / "data.yaml").write_text(f"path: {out}\ntrain: images/train\nval: images/val\nnames:\n{listing}\n")
    command = [
        str(Path(sys.executable).with_name("yolo")),
        "detect",
        "train",
        "model=yolo11n.yaml",
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
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr)
    seconds = time.monotonic() - start
    found = predictions_of(out / "train" / "weights" / "best.pt", val, names, args)
    (out / "predictions.json").write_text(json.dumps(found))
    row = {"peer": "yolo11n, SAHI", "data": args.data.name, "images": len(train), "tiles": count}
    print(json.dumps({**row, **cost(args.epochs, count, seconds, seconds)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
