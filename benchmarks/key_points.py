"""Learn key points in-process and score them on the held-out images, without HTTP.

    python -m benchmarks.key_points --data <folder> --seeds 0 1 2

The folder holds `tasks.json`, `label_config.xml`, `splits.json` and the images. Prints one JSON line per
seed: the share of points that are found within 5 % of the image's longer side, the mean distance of those,
the share of shown points that miss (invented), and the seconds of training. `--predictions FILE` scores what
another program found instead, such as `benchmarks/peers/yolo_pose.py`; of those every point counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from backend.core.labelstudio.label_config import parse_label_config
from benchmarks.data_sets import samples_of


def load(folder: Path, split: str):
    """Return samples, labeling config and tasks of a split, in the order of the tasks' file."""
    config = parse_label_config((folder / "label_config.xml").read_text())
    wanted = set(json.loads((folder / "splits.json").read_text())[split])
    tasks = [task for task in json.loads((folder / "tasks.json").read_text()) if task["id"] in wanted]
    return samples_of(folder, tasks, config), config, tasks


def scores(found, samples):
    """Return how near found points are to those that were drawn."""
    from backend.core.geometry.point_matching import match_points
    from backend.core.geometry.points import points_of

    matches = [
        match_points(points, points_of(sample.target), sample.target.size)
        for points, sample in zip(found, samples, strict=True)
    ]
    hits = np.concatenate([match.hits for match in matches])
    distances = np.concatenate([match.distances for match in matches])
    drawn = sum(match.drawn for match in matches)
    return {
        "drawn": drawn,
        "shown": len(hits),
        "within_5_percent": round(float(hits.sum()) / drawn, 4),
        "mean_distance_of_longer_side": round(float(distances.mean()), 5) if len(distances) else None,
        "invented_share": round(float((~hits).mean()), 4) if len(hits) else 0.0,
    }


def of_predictions(path: Path, tasks, config):
    """Return the points of Label Studio predictions, in the order of the tasks."""
    from backend.core.geometry.points import NO_OBJECT, FoundPoints

    by_task = {entry["task"]: entry["result"] for entry in json.loads(path.read_text())}
    for task in tasks:
        size = task["annotations"][0]["result"][0]
        scale = np.array([size["original_width"], size["original_height"]]) / 100
        regions = sorted(by_task[task["id"]], key=lambda region: -region["score"])
        places = np.array([[r["value"]["x"], r["value"]["y"]] for r in regions]).reshape(-1, 2) * scale
        labels = [config.labels.index(r["value"]["keypointlabels"][0]) for r in regions]
        yield FoundPoints(
            places.astype(np.float32),
            np.array([r["score"] for r in regions], np.float32),
            np.array(labels, np.int64),
            np.full(len(regions), NO_OBJECT),
        )


def trained(samples, config, held_out, seed: int, epochs: int):
    """Return what a training with this seed finds in the held-out images, and its seconds."""
    from backend.core.geometry.points import found_points
    from backend.nn.detector.predictor import load_predictor
    from backend.training.inputs import TrainingInputs
    from backend.training.parameters import TrainingParams
    from backend.training.run import train_version
    from benchmarks.learning import PrintingObserver

    params = TrainingParams(epochs=epochs, pretrained=False)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        inputs = TrainingInputs(samples, config.labels, params, Path(folder), seed=seed)
        outcome = train_version(inputs, PrintingObserver())
        seconds = time.monotonic() - start
        predictor = load_predictor(outcome.folder)
    images = [sample.load_rgb() for sample in held_out]
    found = predictor.predict(
        images, confidence_threshold=params.confidence_threshold, nms_threshold=params.nms_threshold
    )
    return [found_points(one) for one in found], seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--predictions", type=Path)
    args = parser.parse_args()

    held_out, config, tasks = load(args.data, "val")
    if args.predictions is not None:
        found = list(of_predictions(args.predictions, tasks, config))
        print(json.dumps({"predictions": args.predictions.parent.name, **scores(found, held_out)}))
        return
    samples, _, _ = load(args.data, "train")
    for seed in args.seeds:
        found, seconds = trained(samples, config, held_out, seed, args.epochs)
        row = {"data": args.data.name, "seed": seed, "epochs": args.epochs, "seconds": round(seconds, 1)}
        print(json.dumps({**row, **scores(found, held_out)}), flush=True)


if __name__ == "__main__":
    main()
