"""One labelled picture, nothing trained: how well is its like found on other pictures, and how soon?

    python -m benchmarks.find_the_like --data DATA --set bccd [--split val] [--choices 5]

DATA/<set> holds tasks, config, splits and images. The example is one picture of the split `train` on which
every label is drawn; several choices of it are tried, each by itself. Measured are box mAP at IoU 0.50 over
all pictures of the split (with `--split train`, for trying things out: over the last pictures of it, of which
none is an example), at the default threshold precision and recall, and seconds on `--threads` cores: of the
learning, and from the request to the answer for a page of `--page` pictures, decoding included. `--objects`
labels only so many objects of the example. Figures are appended to benchmarks/results/find_the_like.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from backend.core.geometry.instances import Detections
from backend.nn.by_example.features import load_picture_encoder
from backend.nn.by_example.learning import Example, learn
from backend.nn.by_example.predictor import ExamplePredictor
from backend.nn.detector.heads.average_precision import box_average_precision
from backend.nn.runtime.threads import run_side_by_side
from backend.training.inputs import TrainingSample
from backend.training.judging.metrics import precision_recall
from benchmarks.data_sets import SETS, load_samples
from benchmarks.live_service import append_result

TRIED_OUT_ON = 12
LOWEST_SCORE, DEFAULT_SCORE, NMS_THRESHOLD = 0.01, 0.30, 0.4


def main() -> int:
    """Measure, and append the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--choices", type=int, default=5, help="of the example")
    parser.add_argument("--objects", type=int, help="so many labelled objects of the example")
    parser.add_argument("--page", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-keep", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    train, config, _ = load_samples(options.data, options.set, "train")
    if options.split == "val":
        asked, _, _ = load_samples(options.data, options.set, "val")
    else:
        count = min(TRIED_OUT_ON, len(train) // 3)
        train, asked = train[:-count], train[-count:]
    encoder = load_picture_encoder()
    runs = []
    for sample in _choices(train, len(config.labels), options.choices, options.seed):
        run = {"example": sample.task_id, **_measure(sample, asked, config.labels, encoder, options)}
        print(json.dumps(run), flush=True)
        runs.append(run)
    row = {
        "set": options.set,
        "split": options.split,
        "images": len(asked),
        "objects": options.objects or "all",
        "threads": options.threads,
        "page": min(options.page, len(asked)),
        "seed": options.seed,
        "runs": runs,
        **_mean_and_spread(runs),
    }
    if options.no_keep:
        print(json.dumps({name: value for name, value in row.items() if name != "runs"}))
    else:
        append_result("find_the_like", row)
    return 0


def _choices(samples: list[TrainingSample], label_count: int, count: int, seed: int) -> list[TrainingSample]:
    """Return samples on which every label is drawn, picked at random."""
    whole = [s for s in samples if len(np.unique(s.target.label_indices)) == label_count]
    order = np.random.default_rng(seed).permutation(len(whole))[:count]
    return [whole[k] for k in order]


def _measure(sample, asked, labels, encoder, options) -> dict[str, float]:
    started, cpu_started = time.monotonic(), time.process_time()
    target = sample.target
    shown = slice(options.objects)
    example = Example(sample.load_rgb(), target.boxes_xyxy_px[shown], target.label_indices[shown])
    predictor = ExamplePredictor(learn([example], encoder), encoder, labels)
    learned, cpu_learned = time.monotonic(), time.process_time()

    def answer(one: TrainingSample) -> Detections:
        image = one.load_rgb()
        return predictor.predict(
            [image], confidence_threshold=LOWEST_SCORE, nms_threshold=NMS_THRESHOLD, with_masks=False
        )[0]

    page = run_side_by_side(answer, asked[: options.page], options.threads)
    answered, cpu_answered = time.monotonic(), time.process_time()
    found = [*page, *run_side_by_side(answer, asked[options.page :], options.threads)]
    targets = [one.target for one in asked]
    shown_found = [_above(d, DEFAULT_SCORE) for d in found]
    precision, recall = precision_recall(shown_found, targets, DEFAULT_SCORE)
    return {
        "box_map50": round(box_average_precision(found, targets, len(labels))["box_map50"], 3),
        "precision": round(float(precision), 3),
        "recall": round(float(recall), 3),
        "learning_s": round(learned - started, 1),
        "page_s": round(answered - started, 1),
        "learning_cpu_s": round(cpu_learned - cpu_started, 1),
        "page_cpu_s": round(cpu_answered - cpu_started, 1),
    }


def _above(detections: Detections, score: float) -> Detections:
    keep = np.flatnonzero(detections.scores >= score)
    return replace(
        detections,
        boxes_xyxy_px=detections.boxes_xyxy_px[keep],
        scores=detections.scores[keep],
        label_indices=detections.label_indices[keep],
        masks=tuple(detections.masks[k] for k in keep),
    )


def _mean_and_spread(runs: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return mean and standard deviation of each figure."""
    names = [name for name in runs[0] if name != "example"]
    columns = {name: [run[name] for run in runs] for name in names}
    return {n: [round(float(np.mean(v)), 3), round(float(np.std(v)), 3)] for n, v in columns.items()}


if __name__ == "__main__":
    sys.exit(main())
