"""Small things in large pictures: train in one process, with and without tiles, and score.

    python -m benchmarks.tiles --set airbus --data DATA [--tiles auto] [--param epochs=20]
    python -m benchmarks.tiles --set drawn [--side 4000] [--things 250] [--pictures 8,3] [--tiles auto]
    python -m benchmarks.tiles --lengths 6,8,12,16,24,32 --param image_size=224 [--param epochs=25]
    python -m benchmarks.tiles --decide DATA
    python -m benchmarks.tiles --set airbus --data DATA --peer OUT/predictions.json --note "YOLO11n at 1280"

DATA/SET holds `tasks.json`, `label_config.xml`, `splits.json` (train, val) and `images/`; `drawn` makes its
own pictures: bars, discs and rings of 12 to 40 px in three labels, in crowds, with exact masks. Appends to
benchmarks/results/tiles.jsonl what was decided, average precision on the validation pictures, how many things
are found through which a border of tiles runs and how many of the others, and seconds. `--lengths` learns
from drawn pictures that are not shrunk, with things of one length in each training: how small may they be?
`--decide` trains nothing: it prints what `auto` makes of every data set in DATA. `--peer` trains nothing
either: it scores what another program found, such as `benchmarks/peers/yolo_sahi.py`.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import Detections, TrainingTarget
from backend.core.geometry.tiling import Tiling
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.nn.detector.heads.average_precision import box_average_precision, mask_average_precision
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.parameters import TrainingParams, parse_parameter
from backend.training.recipe import RECIPE
from backend.training.run import train_version
from backend.training.tiles import decide_tiles
from benchmarks.data_sets import load_split
from benchmarks.learning import PrintingObserver
from benchmarks.live_service import append_result
from benchmarks.tile_pictures import LABELS, draw_samples
from benchmarks.turned_boxes import peer_detections

FLOOR, NMS = 0.01, 0.40
UNTUNED = replace(RECIPE, tuning_share=0.0, tuning_seconds_min=0.0)
"""The smart tools, which learn last, are not what is measured."""
SHOWN_FROM, HIT_IOU = 0.30, 0.50


def recall_by_border(
    found: Sequence[Detections], targets: Sequence[TrainingTarget], tiling: Tiling
) -> dict[str, float]:
    """Return how many things are found that a border of tiles runs through, how many others, and counts."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for one, target in zip(found, targets, strict=True):
        edges = [
            sorted(
                {tile[k] for tile in tiling.views_of(target.size)}
                | {tile[k + 2] for tile in tiling.views_of(target.size)}
            )
            for k in (0, 1)
        ]
        kept = one.scores >= SHOWN_FROM
        ious = box_iou(target.boxes_xyxy_px, one.boxes_xyxy_px[kept])
        ious *= target.label_indices[:, None] == one.label_indices[kept][None]
        for row, box in enumerate(target.boxes_xyxy_px.tolist()):
            is_on_border = any(any(box[k] < edge < box[k + 2] for edge in edges[k]) for k in (0, 1))
            hits[is_on_border].append(bool(ious[row].max(initial=0) >= HIT_IOU))
    return {
        "recall_on_borders": _mean(hits[True]),
        "recall_elsewhere": _mean(hits[False]),
        "things_on_borders": len(hits[True]),
        "things_elsewhere": len(hits[False]),
    }


def _mean(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


def decide_all(data: Path, image_size: int) -> None:
    """Print what `auto` decides for every data set in a folder."""
    for config_file in sorted(data.glob("*/label_config*.xml")):
        tasks_file = config_file.with_name(config_file.name.replace("label_config", "tasks")).with_suffix(
            ".json"
        )
        config = parse_label_config(config_file.read_text())
        targets = []
        for task in json.loads(tasks_file.read_text()):
            annotated = annotated_task(task, config)
            regions = annotated.pages[0].regions if annotated else []
            if regions:
                size = regions[0].region.recorded_size
                targets.append(build_target(regions, config.labels, size).target)
        if targets:
            decision = decide_tiles(
                TrainingParams(image_size=image_size), targets, asked=bool(config.learned_answers)
            )
            print(f"{config_file.parent.name}/{tasks_file.name}: {decision.reason} {decision.tiling or ''}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", default="drawn")
    parser.add_argument("--decide", type=Path)
    parser.add_argument("--lengths", help="of the things in pictures that are not shrunk, in pixels")
    parser.add_argument("--tiles", default="auto")
    parser.add_argument("--side", type=int, default=4000)
    parser.add_argument("--things", type=int, default=250)
    parser.add_argument("--pictures", default="8,3", help="drawn pictures to learn from and to judge")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--param", action="append", default=[], help="NAME=VALUE of a training parameter")
    parser.add_argument("--keep", type=Path, help="folder for the version")
    parser.add_argument("--peer", type=Path, help="score these predictions, and train nothing")
    parser.add_argument("--note", help="what else the row should say")
    args = parser.parse_args()
    if args.decide:
        decide_all(args.decide, 416)
        return
    chosen = dict(given.split("=", 1) for given in args.param)
    values = {name: parse_parameter(name, json.loads(value)) for name, value in chosen.items()}
    params = TrainingParams(**{"pretrained": False, "tiles": args.tiles, **values})
    if args.lengths:
        learn_lengths([float(length) for length in args.lengths.split(",")], params, args.seed)
        return
    noted = {"note": args.note} if args.note else {}
    if args.peer:
        append_result("tiles", {"set": args.set, **noted, **judge_peer(args.peer, args.data / args.set)})
        return
    said: dict[str, object] = {
        "set": args.set,
        "tiles": args.tiles,
        "seed": args.seed,
        "params": values,
        **noted,
    }
    if args.set == "drawn":
        learned, judged = (int(count) for count in args.pictures.split(","))
        train = draw_samples(learned, args.side, args.things, seed=args.seed)
        val = draw_samples(judged, args.side, args.things, seed=args.seed + 1000)
        labels: tuple[str, ...] = LABELS
        said |= {"side": args.side, "things": args.things, "pictures": args.pictures}
    else:
        val, config = load_split(args.data / args.set, "val")
        train, _ = load_split(args.data / args.set, "train")
        labels = tuple(config.labels)
    workdir = args.keep or Path(tempfile.mkdtemp())
    started, used = time.monotonic(), time.process_time()
    outcome = train_version(
        TrainingInputs(train, labels, params, workdir, seed=args.seed, recipe=UNTUNED), PrintingObserver()
    )
    said["train_seconds"] = round(time.monotonic() - started, 1)
    said["train_processor_seconds"] = round(time.process_time() - used, 1)
    append_result("tiles", {**said, **judge(outcome.folder, val, labels), **_facts(outcome.card.facts)})


def learn_lengths(lengths_px: Sequence[float], params: TrainingParams, seed: int) -> None:
    """Learn from pictures as large as the network sees them, with things of each length."""
    for length in lengths_px:
        around = (0.8 * length, 1.2 * length)
        train, val = (
            draw_samples(count, params.image_size, 12, seed=seed + start, lengths_px=around)
            for count, start in ((12, 0), (12, 1000))
        )
        rows = [sample.target.boxes_xyxy_px for sample in val]
        sides = np.concatenate([np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)) for boxes in rows])
        inputs = TrainingInputs(
            train, LABELS, replace(params, tiles="off"), Path(tempfile.mkdtemp()), seed=seed, recipe=UNTUNED
        )
        outcome = train_version(inputs, PrintingObserver())
        said = {"set": "lengths", "seed": seed, "image_size": params.image_size, "epochs": params.epochs}
        said |= {"length_px": length, "side_px": round(float(np.median(sides)), 1)}
        append_result("tiles", {**said, **judge(outcome.folder, val, LABELS)})


def judge(folder: Path, val: Sequence[TrainingSample], labels: tuple[str, ...]) -> dict[str, float]:
    """Return how good a version is on pictures, and how long it takes for each."""
    predictor = load_predictor(folder)
    images, targets = [sample.load_rgb() for sample in val], [sample.target for sample in val]
    predictor.predict(images[:1], confidence_threshold=SHOWN_FROM, nms_threshold=NMS)
    started = time.monotonic()
    for image in images:
        predictor.predict([image], confidence_threshold=SHOWN_FROM, nms_threshold=NMS)
    seconds = (time.monotonic() - started) / len(images)
    found = predictor.predict(images, confidence_threshold=FLOOR, nms_threshold=NMS)
    scores = box_average_precision(found, targets, len(labels))
    if "masks" in predictor.architecture.head_names:
        scores |= mask_average_precision(found, targets, len(labels))
    if predictor.in_tiles is not None:
        scores |= recall_by_border(found, targets, predictor.in_tiles.tiling)
    return {
        **{name: round(value, 4) for name, value in scores.items()},
        "seconds_a_picture": round(seconds, 2),
        "memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def judge_peer(predictions: Path, folder: Path) -> dict[str, float]:
    """Return how good another program's predictions are on the validation pictures of a data set."""
    val, config = load_split(folder, "val")
    by_task = {one["task"]: one for one in json.loads(predictions.read_text())}
    found = [peer_detections(by_task[sample.task_id], sample, config) for sample in val]
    scores = box_average_precision(found, [sample.target for sample in val], len(config.labels))
    return {name: round(value, 4) for name, value in scores.items()}


def _facts(facts) -> dict[str, object]:
    return {"decided": facts["tiles"], "images_seen": facts["images_seen"], "epochs_run": facts["epochs_run"]}


if __name__ == "__main__":
    main()
