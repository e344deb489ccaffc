"""Boxes with text: after a training, and RapidOCR alone, on the same images, one after the other.

    python -m benchmarks.ocr_text --data DATA [--set sroie] [--work FOLDER] [--param epochs=20 ...]

DATA/sroie has receipts in the layout of the other benchmarks. A training learns from the images of `train`
through the command line; what it predicts for those of `val` is scored. FOLDER keeps the version, and a
second run does not train again. A box is found where one that was drawn overlaps it by half (IoU 0.5), one
for one, better scores first. The character error rate is edits divided by characters that were written, over
the found boxes; letters are compared without case, for the receipts' transcriptions are in capitals. Figures
are appended to benchmarks/results/ocr_text.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from backend.core.geometry.boxes import box_iou
from benchmarks.live_service import append_result

CONFIG = "label_config_rectangle.xml"
TASKS = "tasks_rectangle.json"
HIT_IOU = 0.5


@dataclass(frozen=True)
class WrittenBox:
    """A box [4] in pixels, what is written there, and how sure that is."""

    box_xyxy_px: np.ndarray
    text: str
    score: float = 1.0


@dataclass
class Score:
    """Of all images: boxes drawn and found; of each hit, by image and drawn box, edits and characters."""

    drawn: int = 0
    found: int = 0
    edits: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def add(self, image: int, found: list[WrittenBox], drawn: list[WrittenBox]) -> None:
        self.drawn += len(drawn)
        self.found += len(found)
        found = sorted(found, key=lambda one: -one.score)
        iou = box_iou(_boxes(found), _boxes(drawn))
        free = np.ones(len(drawn), bool)
        for k, one in enumerate(found):
            usable = np.where(free & (iou[k] >= HIT_IOU), iou[k], -1.0)
            if len(drawn) and usable.max() > 0:
                best = int(usable.argmax())
                free[best] = False
                truth = comparable(drawn[best].text)
                self.edits[image, best] = edits_between(comparable(one.text), truth), len(truth)

    def as_json(self, both: set[tuple[int, int]]) -> dict[str, float]:
        hits = len(self.edits)
        return {
            "found_share": round(hits / self.drawn, 4),
            "f1": round(2 * hits / (self.found + self.drawn), 4),
            "cer_of_found": error_rate(self.edits.values()),
            "cer_where_both_found": error_rate(self.edits[key] for key in both),
        }


def _boxes(written: list[WrittenBox]) -> np.ndarray:
    return np.array([one.box_xyxy_px for one in written], np.float32).reshape(-1, 4)


def error_rate(edits_and_lengths) -> float:
    pairs = list(edits_and_lengths)
    return round(sum(edits for edits, _ in pairs) / max(1, sum(length for _, length in pairs)), 4)


def comparable(text: str) -> str:
    return " ".join(text.casefold().split())


def edits_between(one: str, other: str) -> int:
    """Return Levenshtein's distance."""
    before = list(range(len(other) + 1))
    for row, left in enumerate(one, start=1):
        now = [row]
        for column, right in enumerate(other, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (left != right)))
        before = now
    return before[-1]


def written_boxes(results: list[dict]) -> list[WrittenBox]:
    """Return the regions of Label Studio results, each with its text."""
    places: dict[str, tuple[np.ndarray, float]] = {}
    texts: dict[str, str] = {}
    for result in results:
        value, width, height = result["value"], result["original_width"], result["original_height"]
        if result["type"] == "textarea":
            texts[result["id"]] = " ".join(value["text"])
        elif "width" in value:
            x, y, w, h = (value[name] / 100 for name in ("x", "y", "width", "height"))
            box = np.array([x * width, y * height, (x + w) * width, (y + h) * height], np.float32)
            places[result["id"]] = box, float(result.get("score", 1.0))
    return [WrittenBox(box, texts.get(key, ""), score) for key, (box, score) in places.items()]


def rapidocr_alone(paths: list[Path]) -> list[list[WrittenBox]]:
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "error"})
    found = []
    for path in paths:
        read = engine(cv2.imread(str(path)))
        lines = [] if read.boxes is None else zip(read.boxes, read.txts, read.scores, strict=True)
        found.append(
            [
                WrittenBox(np.concatenate((quad.min(axis=0), quad.max(axis=0))), text, float(score))
                for quad, text, score in lines
            ]
        )
    return found


def run(work: Path, *arguments: str) -> None:
    """Run the command line on the store below `work`."""
    environment = {**os.environ, "DATA_DIR": str(work / "data")}
    subprocess.run([sys.executable, "-m", "backend.cli", *arguments], env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="sroie")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--param", action="append", default=[])
    arguments = parser.parse_args()
    folder = arguments.data / arguments.set
    work = arguments.work or Path(tempfile.mkdtemp())
    splits = json.loads((folder / "splits.json").read_text())
    tasks = {task["id"]: task for task in json.loads((folder / TASKS).read_text())}
    for split in ("train", "val"):
        chosen = [tasks[task_id] for task_id in splits[split]]
        bare = [{key: task[key] for key in ("id", "data")} for task in chosen]
        work.mkdir(parents=True, exist_ok=True)
        (work / f"{split}.json").write_text(json.dumps(chosen if split == "train" else bare))
    common = ["--config", str(folder / CONFIG), "--images", str(folder)]
    timings = {}
    if not list((work / "data").glob("projects/*/versions/*")):
        params = [f"--param={assignment}" for assignment in ("pretrained=false", *arguments.param)]
        started = time.monotonic()
        run(work, "train", str(work / "train.json"), *common, *params)
        timings["training_minutes"] = round((time.monotonic() - started) / 60, 1)
    started = time.monotonic()
    run(work, "predict", str(work / "val.json"), *common, "--out", str(work / "predicted.json"))
    timings["ours_seconds_per_image"] = round((time.monotonic() - started) / len(splits["val"]), 1)
    predicted = {task["id"]: task for task in json.loads((work / "predicted.json").read_text())}
    started = time.monotonic()
    alone = rapidocr_alone([folder / tasks[task_id]["data"]["image"] for task_id in splits["val"]])
    timings["rapidocr_seconds_per_image"] = round((time.monotonic() - started) / len(splits["val"]), 1)
    ours, theirs = Score(), Score()
    for task_id, lines in zip(splits["val"], alone, strict=True):
        drawn = written_boxes(tasks[task_id]["annotations"][0]["result"])
        ours.add(task_id, written_boxes(predicted[task_id]["predictions"][0]["result"]), drawn)
        theirs.add(task_id, lines, drawn)
    both = set(ours.edits) & set(theirs.edits)
    figures = {"ours": ours.as_json(both), "rapidocr": theirs.as_json(both), "both_found": len(both)}
    append_result("ocr_text", {"set": arguments.set, "params": arguments.param, **figures, **timings})


if __name__ == "__main__":
    main()
