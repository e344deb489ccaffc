"""Train turned boxes in one process and score them; score a peer's predictions likewise.

    python -m benchmarks.turned_boxes --data DATA --set hituav [--seeds 0,1] [--param epochs=30]
    .venv-peers/bin/python benchmarks/peers/yolo.py --data DATA/hituav --train train --kind turned --out OUT
    python -m benchmarks.turned_boxes --data DATA --set hituav --peer OUT/predictions.json

DATA/SET holds `tasks.json`, `label_config.xml`, `splits.json` (train, val) and `images/`. Appends a line for
each seed, and for the peer, to benchmarks/results/turned_boxes.jsonl: mAP50 of turned boxes on the validation
images, over all labels and of each, that of upright boxes, and how far off the angles of hits are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from backend.core.geometry.instances import Detections
from backend.core.geometry.matching import match_at_half_iou
from backend.core.geometry.turned_boxes import turned_boxes_of, turned_iou
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import LabelConfig
from backend.nn.detector.heads.average_precision import box_average_precision, turned_average_precision
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.parameters import TrainingParams, parse_parameter
from backend.training.run import train_version
from benchmarks.data_sets import load_split
from benchmarks.learning import PrintingObserver, only, only_target
from benchmarks.live_service import append_result

MOST_REGIONS = 300
FLOOR, NMS = 0.01, 0.40


def score(
    found: list[Detections], samples: list[TrainingSample], labels: tuple[str, ...]
) -> dict[str, float]:
    """Return mAP50 of turned boxes and upright ones, AP50 of each label, and the median error of angles."""
    targets = [sample.target for sample in samples]
    out = {**turned_average_precision(found, targets, len(labels))}
    for k, label in enumerate(labels):
        mine = [only(one, k) for one in found]
        theirs = [only_target(target, k) for target in targets]
        out[f"turned_ap50 {label}"] = turned_average_precision(mine, theirs, len(labels))["turned_map50"]
    out |= box_average_precision(found, targets, len(labels))
    errors = [
        error for one, target in zip(found, targets, strict=True) for error in angle_errors(one, target)
    ]
    out["angle_error_degrees"] = float(np.median(errors)) if errors else float("nan")
    return {name: round(value, 4) for name, value in out.items()}


def angle_errors(found: Detections, target) -> list[float]:
    """Return by how many degrees hits are turned otherwise than the object that they overlap most."""
    hits, _ = match_at_half_iou(found, target)
    drawn = turned_boxes_of(target)
    if found.turned_boxes_px is None or not hits.any():
        return []
    mine = found.turned_boxes_px[hits]
    best = turned_iou(mine, drawn).argmax(axis=1)
    apart = np.abs(mine[:, 4] - drawn[best, 4]) % 90
    return np.minimum(apart, 90 - apart).tolist()


def peer_detections(prediction: dict, sample: TrainingSample, config: LabelConfig) -> Detections:
    """Read a peer's prediction as detections, best score first."""
    regions = [{**region, "id": f"r{k}"} for k, region in enumerate(prediction["result"])]
    task = {"id": 1, "data": {"image": "x"}, "annotations": [{"id": 1, "result": regions}]}
    page = annotated_task(task, config).pages[0]
    target = build_target(page.regions, config.labels, sample.target.size).target
    by_id = {region["id"]: region["score"] for region in regions}
    scores = np.array([by_id[name] for name in target.region_ids], np.float32)
    order = np.argsort(-scores, kind="stable")[:MOST_REGIONS]
    return Detections(
        target.size,
        target.boxes_xyxy_px[order],
        scores[order],
        target.label_indices[order],
        (None,) * len(order),
        turned_boxes_px=turned_boxes_of(target)[order],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--param", action="append", default=[], help="NAME=VALUE of a training parameter")
    parser.add_argument("--peer", type=Path, help="score these predictions, and train nothing")
    parser.add_argument("--note", help="what else the row should say")
    args = parser.parse_args()
    val, config = load_split(args.data / args.set, "val")
    labels = tuple(config.labels)
    said = {"set": args.set, **({"note": args.note} if args.note else {})}
    if args.peer:
        by_task = {one["task"]: one for one in json.loads(args.peer.read_text())}
        found = [peer_detections(by_task[sample.task_id], sample, config) for sample in val]
        row = {**said, "peer": "yolo11n-obb", **score(found, val, labels)}
        print(row, flush=True)
        append_result("turned_boxes", row)
        return
    chosen = dict(given.split("=", 1) for given in args.param)
    values = {name: parse_parameter(name, json.loads(value)) for name, value in chosen.items()}
    params = TrainingParams(**{"pretrained": False, **values})
    train, _ = load_split(args.data / args.set, "train")
    for seed in (int(seed) for seed in args.seeds.split(",")):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as workdir:
            inputs = TrainingInputs(train, labels, params, Path(workdir), seed=seed)
            outcome = train_version(inputs, PrintingObserver())
            seconds = time.monotonic() - started
            found = load_predictor(outcome.folder).predict(
                [sample.load_rgb() for sample in val],
                confidence_threshold=FLOOR,
                nms_threshold=NMS,
                max_regions=MOST_REGIONS,
            )
        row = {
            **said,
            "seed": seed,
            "params": {"pretrained": False, **values},
            **score(found, val, labels),
            "turned_shares": outcome.card.facts["turned_shares"],
            "train_seconds": round(seconds, 1),
        }
        print(row, flush=True)
        append_result("turned_boxes", row)


if __name__ == "__main__":
    main()
