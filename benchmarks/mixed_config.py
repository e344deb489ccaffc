"""One version that answers everything at once, beside versions that answer one kind each.

    python -m benchmarks.mixed_config --data DATA [--first 30] [--seed 0] [--param image_size=224]
        [--only masks,all]

DATA/pennfudan holds the pedestrians' brush masks. Two more kinds of labels follow from these: how many people
a picture shows (`Choices`: One, Two, More), and the top of each head (`KeyPointLabels`, whose parent is the
person). Trains on masks alone, on the choice alone, on points alone, and on all three, with the
same parameters. Appends a line for each to benchmarks/results/mixed_config.jsonl: what it reaches on the
validation pictures, and the seconds of the clock and of the processor.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.points import found_points
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.regions.brush_rle import decode_brush_rle
from backend.nn.detector.heads.average_precision import box_average_precision, mask_average_precision
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.parameters import TrainingParams, parse_parameter
from backend.training.run import train_version
from benchmarks.data_sets import samples_of
from benchmarks.image_choices import chosen_in, score
from benchmarks.key_points import scores as point_scores
from benchmarks.learning import PrintingObserver, only, only_target
from benchmarks.live_service import append_result

PARTS = {
    "masks": '<BrushLabels name="label" toName="image"><Label value="Pedestrian"/></BrushLabels>',
    "choice": '<Choices name="people" toName="image" choice="single">'
    '<Choice value="One"/><Choice value="Two"/><Choice value="More"/></Choices>',
    "points": '<KeyPointLabels name="point" toName="image"><Label value="Head"/></KeyPointLabels>',
}
COUNTS = ("One", "Two", "More")
FLOOR, NMS = 0.01, 0.40


def config_of(parts: list[str]) -> LabelConfig:
    """Return a labeling config with these controls."""
    controls = "".join(PARTS[part] for part in parts)
    return parse_label_config(f'<View><Image name="image" value="$image"/>{controls}</View>')


def everything(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task with brush regions, and with the choice and the points that follow from them."""
    people = task["annotations"][0]["result"]
    sides = {key: people[0][key] for key in ("original_width", "original_height", "image_rotation")}
    size = ImageSize(sides["original_width"], sides["original_height"])
    heads = []
    for number, person in enumerate(people):
        ys, xs = np.nonzero(decode_brush_rle(person["value"]["rle"], size))
        x, y = float(xs[ys == ys.min()].mean()), float(ys.min())
        value = {
            "x": 100 * x / size.width,
            "y": 100 * y / size.height,
            "width": 1,
            "keypointlabels": ["Head"],
        }
        head = {"id": f"head{number}", "type": "keypointlabels", "from_name": "point", "to_name": "image"}
        heads.append({**head, **sides, "parentID": person["id"], "value": value})
    choice = {
        "id": "people",
        "type": "choices",
        "from_name": "people",
        "to_name": "image",
        "value": {"choices": [COUNTS[min(len(people), len(COUNTS)) - 1]]},
    }
    return {**task, "annotations": [{"id": 1, "result": [*people, choice, *heads]}]}


def judged(
    folder: Path, val: list[TrainingSample], config: LabelConfig, parts: list[str]
) -> dict[str, float]:
    """Return how good a version is at each kind that its config asks for."""
    images, targets = [sample.load_rgb() for sample in val], [sample.target for sample in val]
    predictor = load_predictor(folder)
    found = predictor.predict(images, confidence_threshold=FLOOR, nms_threshold=NMS)
    out: dict[str, float] = {}
    if "masks" in parts:
        label = config.labels.index("Pedestrian")
        people = [only(one, label) for one in found], [only_target(target, label) for target in targets]
        out |= box_average_precision(*people, len(config.labels))
        out |= mask_average_precision(*people, len(config.labels))
    if "choice" in parts:
        ((control, asked),) = config.asked["choices"].items()
        chances = np.array([one.extras["choices"][control].values for one in found])
        out |= score(chances, chosen_in(val, control, len(asked["options"])), is_multiple=False)
    if "points" in parts:
        shown = predictor.predict(
            images,
            confidence_threshold=TrainingParams.confidence_threshold,
            nms_threshold=TrainingParams.nms_threshold,
        )
        out |= point_scores([found_points(one) for one in shown], val)
    return {name: value if value is None else round(value, 4) for name, value in out.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--first", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--param", action="append", default=[], help="NAME=VALUE of a training parameter")
    parser.add_argument("--only", default="masks,choice,points,all")
    args = parser.parse_args()
    chosen = dict(given.split("=", 1) for given in args.param)
    values = {name: parse_parameter(name, json.loads(value)) for name, value in chosen.items()}
    params = TrainingParams(**{"pretrained": False, **values})
    folder = args.data / "pennfudan"
    tasks = {one["id"]: everything(one) for one in json.loads((folder / "tasks_brush.json").read_text())}
    splits = json.loads((folder / "splits.json").read_text())
    for name in args.only.split(","):
        parts = list(PARTS) if name == "all" else [name]
        config = config_of(parts)
        train, val = (
            samples_of(folder, [tasks[task_id] for task_id in ids], config)
            for ids in (splits["train100"][: args.first], splits["val"])
        )
        with tempfile.TemporaryDirectory() as workdir:
            clock, processor = time.monotonic(), time.process_time()
            inputs = TrainingInputs(
                train, config.labels, params, Path(workdir), seed=args.seed, asked=config.asked
            )
            outcome = train_version(inputs, PrintingObserver())
            seconds = {
                "train_seconds": round(time.monotonic() - clock, 1),
                "processor_seconds": round(time.process_time() - processor, 1),
            }
            row = {
                "kinds": name,
                "first": args.first,
                "seed": args.seed,
                "params": {"pretrained": False, **values},
                **judged(outcome.folder, val, config, parts),
                **seconds,
                "images_seen": outcome.card.facts["images_seen"],
            }
        append_result("mixed_config", row)


if __name__ == "__main__":
    main()
