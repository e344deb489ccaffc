"""How many planted errors does the second look find, beside ObjectLab of cleanlab on the same predictions?

    python -m benchmarks.planted_errors --data DATA --set bccd --out FOLDER
    python -m benchmarks.second_look FOLDER/bccd-planted-seed0.json --peer-python PYTHON

PYTHON: of an environment that has cleanlab. Both lists have a row for each place; a row is right where an
error was planted: at the object itself, or, for one that was taken away, at a place that overlaps it by half.
Each error counts once. Faults that the data set had from the start count as rows that are wrong, for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

SAME_IOU = 0.5
RESULTS = Path("benchmarks/results/second_look.jsonl")


def compared(picture):
    """Return a kept picture as the product takes it."""
    from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
    from backend.core.geometry.turned_boxes import NOT_TURNED, rows_if_any_is_turned
    from backend.core.second_look.suspicions import Compared

    size = ImageSize(*picture["size"])
    found, objects = picture["found"], picture["objects"]
    count = len(objects["labels"])
    turned = [NOT_TURNED if row is None else np.float32(row) for row in objects["turned"] or [None] * count]
    target = TrainingTarget(
        size,
        np.array(objects["boxes"], np.float32).reshape(-1, 4),
        np.array(objects["labels"], np.int64),
        (None,) * count,
        turned_boxes_px=rows_if_any_is_turned(turned),
    )
    scores = np.array(found["scores"], np.float32)
    detections = Detections(
        size,
        np.array(found["boxes"], np.float32).reshape(-1, 4),
        scores,
        np.array(found["labels"], np.int64),
        (None,) * len(scores),
        turned_boxes_px=None
        if found["turned"] is None
        else np.array(found["turned"], np.float32).reshape(-1, 5),
    )
    return Compared(target, detections)


def ours(pictures, label_count):
    """Return rows (score, picture, object or None, box or None, kind), best first."""
    from backend.core.second_look.suspicions import suspect

    found = [compared(picture) for picture in pictures]
    rows = []
    for one in suspect(found, label_count):
        box = None
        if one.target_row is None:
            box = found[one.picture].found.boxes_xyxy_px[one.found_index].tolist()
        rows.append((one.probability, one.picture, one.target_row, box, one.kind.value))
    return rows


def objectlab(pictures, labels, peer_python):
    """Return rows of ObjectLab: each annotated box by its worse score, each detection by `overlooked`."""
    content = json.dumps({"pictures": pictures, "labels": labels})
    answer = subprocess.run(
        [peer_python, "-m", "benchmarks.peers.objectlab"],
        input=content,
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(row) for row in json.loads(answer.stdout)]


def judged(rows, pictures):
    """Return for each row the number of the error that it finds first, or None; and the number of errors."""
    from backend.core.geometry.boxes import box_iou

    errors = [(i, error) for i, picture in enumerate(pictures) for error in picture["errors"]]
    at_object = {(i, e["row"]): n for n, (i, e) in enumerate(errors) if "row" in e}
    missing: dict[int, list[tuple[int, list[float]]]] = {}
    for n, (i, error) in enumerate(errors):
        if error["kind"] == "missing":
            missing.setdefault(i, []).append((n, error["box"]))
    taken: set[int] = set()
    hits = []
    for _, picture, row, box, _ in rows:
        hit = None
        if row is not None:
            hit = at_object.get((picture, row))
        else:
            for n, wanted in missing.get(picture, ()):
                iou = box_iou(np.array([wanted], np.float32), np.array([box], np.float32))[0, 0]
                if n not in taken and iou >= SAME_IOU:
                    hit = n
                    break
        if hit in taken:
            hit = None
        if hit is not None:
            taken.add(hit)
        hits.append(hit)
    return hits, [error for _, error in errors]


def average_precision(hits, error_count):
    """Return the mean precision over all errors, 0 for those that no row finds."""
    right, total = 0, 0.0
    for position, hit in enumerate(hits, start=1):
        if hit is not None:
            right += 1
            total += right / position
    return total / max(error_count, 1)


def figures(rows, pictures):
    hits, errors = judged(rows, pictures)
    first = [hit for hit in hits[: len(errors)] if hit is not None]
    kinds = Counter(error["kind"] for error in errors)
    found = Counter(errors[hit]["kind"] for hit in first)
    return {
        "ap": round(average_precision(hits, len(errors)), 4),
        "found_in_first_rows": round(len(first) / len(errors), 4),
        "by_kind": {kind: f"{found[kind]} of {count}" for kind, count in sorted(kinds.items())},
    }


def calibration(rows, pictures):
    """Return, by tenths of probability, how many rows there are and which share of them finds an error."""
    hits, _ = judged(rows, pictures)
    tenths: dict[int, list[bool]] = {}
    for row, hit in zip(rows, hits, strict=True):
        tenths.setdefault(min(int(row[0] * 10), 9), []).append(hit is not None)
    return {f"{k / 10:.1f}": [len(v), round(float(np.mean(v)), 2)] for k, v in sorted(tenths.items())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--peer-python", help="a Python that has cleanlab")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    for path in args.files:
        content = json.loads(path.read_text())
        pictures, labels = content["pictures"], content["labels"]
        started = time.monotonic()
        rows = ours(pictures, len(labels))
        seconds = time.monotonic() - started
        line = {
            "set": content["set"],
            "seed": content["seed"],
            "params": {name: content["params"][name] for name in ("image_size", "epochs")},
            "pictures": len(pictures),
            "errors": sum(len(picture["errors"]) for picture in pictures),
            "seconds": round(seconds, 2),
            "ours": figures(rows, pictures),
            "calibration": calibration(rows, pictures),
        }
        if args.peer_python:
            line["objectlab"] = figures(objectlab(pictures, labels, args.peer_python), pictures)
        print(json.dumps(line), file=sys.stdout, flush=True)
        with args.results.open("a") as kept:
            kept.write(json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **line}) + "\n")


if __name__ == "__main__":
    main()
