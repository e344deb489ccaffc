"""An untaught smart tool among things that have boxes only: does the answer fill the labelled box?

    python -m benchmarks.coldstart_boxes --data DATA/bccd [--http]

DATA/bccd holds tasks.json (rectangles), splits.json and images/. Each labelled rectangle is asked for twice:
by itself with its sides moved by N(0, 5 %), and by a click at its centre. Measured is the IoU of the labelled
rectangle with the box around the answer's mask. Figures are appended to
benchmarks/results/coldstart_clicks.jsonl (--no-keep: printed only).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from backend.core.geometry.instances import ImageSize
from benchmarks.coldstart_clicks import Answer, answering, keypoint, rectangle
from benchmarks.live_service import append_result

JITTER = 0.05


def main() -> int:
    """Measure, and append the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--every", type=int, default=1, help="every n-th picture only")
    parser.add_argument("--objects", type=int, default=10, help="at most so many of a picture")
    parser.add_argument("--http", action="store_true", help="through a service that is started for it")
    parser.add_argument("--weights", type=Path, help="a prompt network to try instead of the shipped one")
    parser.add_argument("--box-only", action="store_true", help="no clicks: a third of the time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-keep", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    wanted = set(json.loads((options.data / "splits.json").read_text())[options.split])
    tasks = [t for t in json.loads((options.data / "tasks.json").read_text()) if t["id"] in wanted]
    ious: dict[str, list[float]] = {"box": [], "click": []}
    with answering(options.data / "images", http=options.http, weights=options.weights) as answer_for:
        for task in tasks[:: options.every]:
            results = task["annotations"][0]["result"][: options.objects]
            for result in results:
                size = ImageSize(result["original_width"], result["original_height"])
                answer = answer_for(options.data / task["data"]["image"], size)
                box = box_of(result["value"], size)
                jittered = box + rng.normal(0, JITTER, 4) * np.tile(box[2:] - box[:2], 2)
                jittered = np.clip(jittered, 0, [size.width, size.height] * 2)
                x, y = (box[:2] + box[2:]) / 2
                ious["box"].append(filled(answer, [rectangle(jittered, size)], box))
                if not options.box_only:
                    ious["click"].append(filled(answer, [keypoint(0, x, y, True, size)], box))
            sys.stderr.write(f"\r{len(ious['box'])} objects ")
    sys.stderr.write("\n")
    row = {
        "set": options.data.name,
        "split": options.split,
        "every": options.every,
        "way": "http" if options.http else "in process",
        "weights": "shipped" if options.weights is None else options.weights.name,
        "seed": options.seed,
        "objects": len(ious["box"]),
        **{f"{kind}_iou": round(float(np.mean(values)), 4) for kind, values in ious.items() if values},
    }
    if options.no_keep:
        print(json.dumps(row))
    else:
        append_result("coldstart_clicks", row)
    return 0


def box_of(value: dict[str, float], size: ImageSize) -> np.ndarray:
    """Return a rectangle's value in percent as xyxy pixels [4]."""
    left, top = value["x"], value["y"]
    corners = np.array([left, top, left + value["width"], top + value["height"]])
    return corners / 100 * np.array([size.width, size.height] * 2)


def filled(answer: Answer, prompts: list[dict], box: np.ndarray) -> float:
    """Return the IoU of a box with that around the answer's mask; no answer counts as 0."""
    mask = answer(prompts)
    if mask is None or not mask.any():
        return 0.0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    shared = np.clip(np.minimum(found[2:], box[2:]) - np.maximum(found[:2], box[:2]), 0, None).prod()
    return float(shared / ((found[2:] - found[:2]).prod() + (box[2:] - box[:2]).prod() - shared))


if __name__ == "__main__":
    sys.exit(main())
