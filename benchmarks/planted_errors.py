"""Labels with planted errors, and what versions that did not learn from them find in the pictures.

    python -m benchmarks.planted_errors --data DATA --set bccd --out FOLDER

Plants errors into the labels of one data set, trains on two thirds of the pictures three times over, with the
errors, and writes what each version finds in the third that it has not seen. `benchmarks.second_look` reads
the file; whoever changes how suspicions are made need not train again. With `--clean` it plants nothing,
trains once on the training pictures and writes what is found in those held back and in the validation
pictures, which is what `benchmarks.accept_precision` reads.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.data_sets import SETS, load_samples
from benchmarks.learning import PrintingObserver

SETS.update({"hituav": ("hituav", "tasks.json", "label_config.xml")})
DROPPED, RELABELLED, MOVED, INVENTED = 0.10, 0.05, 0.05, 0.03
MOVE = 0.25
FOLDS = 3
LOWEST_SCORE = 0.01


def planted(target, label_count, rng, all_objects):
    """Return what an image teaches once errors are planted, and what each error is.

    all_objects: (box size, turned row or None, label) of every object, of which invented ones are copies.
    """
    rows, errors = [], []
    for row in range(len(target)):
        box, label = target.boxes_xyxy_px[row].astype(float), int(target.label_indices[row])
        turned = None if target.turned_boxes_px is None else target.turned_boxes_px[row].astype(float)
        entry = {"box": box, "turned": turned, "label": label}
        chance = rng.random()
        if chance < DROPPED:
            errors.append({"kind": "missing", "box": box.tolist(), "label": label})
            continue
        if chance < DROPPED + RELABELLED and label_count > 1:
            entry["label"] = int((label + 1 + rng.integers(label_count - 1)) % label_count)
            errors.append({"kind": "label", "row": len(rows), "label": label})
        elif DROPPED + RELABELLED <= chance < DROPPED + RELABELLED + MOVED:
            angle = rng.uniform(0, 2 * math.pi)
            step = MOVE * np.array([math.cos(angle), math.sin(angle)]) * (box[2:] - box[:2])
            entry["box"] = box + np.tile(step, 2)
            if turned is not None:
                entry["turned"] = turned + np.array([*step, 0, 0, 0])
            errors.append({"kind": "place", "row": len(rows), "box": box.tolist(), "label": label})
        rows.append(entry)
    for _ in range(rng.binomial(len(target), INVENTED)):
        entry = invented(target, rng, all_objects)
        if entry is not None:
            errors.append({"kind": "extra", "row": len(rows)})
            rows.append(entry)
    return rows, errors


def invented(target, rng, all_objects):
    """Return an object of the size of another one where nothing stands; None where there is no room."""
    from backend.core.geometry.boxes import box_iou

    size, turned, label = all_objects[rng.integers(len(all_objects))]
    for _ in range(50):
        room = np.array([target.size.width, target.size.height]) - size
        if room.min() <= 0:
            return None
        corner = rng.random(2) * room
        box = np.concatenate([corner, corner + size])
        if not len(target) or box_iou(box[None], target.boxes_xyxy_px).max() < 0.1:
            if turned is not None:
                turned = np.concatenate([corner + size / 2, turned[2:]])
            return {"box": box, "turned": turned, "label": label}
    return None


def target_of(target, rows):
    """Return an image's target with other objects."""
    from backend.core.geometry.turned_boxes import NOT_TURNED, rows_if_any_is_turned

    boxes = np.array([row["box"] for row in rows], np.float32).reshape(-1, 4)
    turned = [NOT_TURNED if row["turned"] is None else np.float32(row["turned"]) for row in rows]
    return replace(
        target,
        boxes_xyxy_px=boxes,
        label_indices=np.array([row["label"] for row in rows], np.int64),
        masks=(None,) * len(rows),
        region_ids=tuple(str(k) for k in range(len(rows))),
        turned_boxes_px=rows_if_any_is_turned(turned),
    )


def detections_as_json(found):
    turned = found.turned_boxes_px
    return {
        "boxes": np.round(found.boxes_xyxy_px, 2).tolist(),
        "turned": None if turned is None else np.round(turned, 2).tolist(),
        "scores": np.round(found.scores, 5).tolist(),
        "labels": found.label_indices.tolist(),
    }


def target_as_json(target):
    turned = target.turned_boxes_px
    return {
        "boxes": np.round(target.boxes_xyxy_px, 2).tolist(),
        "turned": None
        if turned is None
        else [None if np.isnan(row[0]) else np.round(row, 2).tolist() for row in turned.astype(float)],
        "labels": target.label_indices.tolist(),
    }


def picture_of(sample, target, found, **more):
    size = target.size
    return {
        "task_id": sample.task_id,
        "size": [size.width, size.height],
        "objects": target_as_json(target),
        "found": detections_as_json(found),
        **more,
    }


def learn(samples, config, params):
    """Return the predictor that learned from the samples, and the tasks that it held back."""
    from backend.nn.detector.predictor import load_predictor
    from backend.training.inputs import TrainingInputs
    from backend.training.judging.holdout import split_by_task
    from backend.training.run import train_version

    with tempfile.TemporaryDirectory() as workdir:
        inputs = TrainingInputs(samples=samples, labels=config.labels, params=params, workdir=Path(workdir))
        outcome = train_version(inputs, PrintingObserver())
        predictor = load_predictor(outcome.folder)
    ids = [sample.task_id for sample in samples]
    return predictor, {ids[i] for i in split_by_task(ids)[1]}


def ask(predictor, samples):
    return [
        predictor.predict(
            [sample.load_rgb()],
            confidence_threshold=LOWEST_SCORE,
            nms_threshold=0.4,
            with_masks=False,
            max_regions=300,
        )[0]
        for sample in samples
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--split", default="train100")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--params", default='{"pretrained": false, "image_size": 224, "epochs": 20}')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clean", action="store_true", help="plant nothing; held-out and val pictures")
    args = parser.parse_args()
    from backend.training.parameters import TrainingParams

    params = TrainingParams(**json.loads(args.params))
    samples, config, _ = load_samples(args.data, args.set, args.split)
    if args.clean:
        content = clean(samples, config, params, load_samples(args.data, args.set, "val")[0])
    else:
        content = cross_fitted(samples, config, params, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    name = f"{args.set}-{'clean' if args.clean else 'planted'}-seed{args.seed}.json"
    content |= {"set": args.set, "labels": list(config.labels), "params": params.as_dict(), "seed": args.seed}
    (args.out / name).write_text(json.dumps(content))
    print("written", args.out / name)


def clean(samples, config, params, validation) -> dict:
    predictor, held_out = learn(samples, config, params)
    sides = {"held_out": [s for s in samples if s.task_id in held_out], "val": validation}
    return {
        side: [picture_of(s, s.target, d) for s, d in zip(some, ask(predictor, some), strict=True)]
        for side, some in sides.items()
    }


def cross_fitted(samples: Sequence, config, params, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    known = [
        (
            t.boxes_xyxy_px[k, 2:] - t.boxes_xyxy_px[k, :2],
            None if t.turned_boxes_px is None else t.turned_boxes_px[k],
            int(t.label_indices[k]),
        )
        for t in (sample.target for sample in samples)
        for k in range(len(t))
    ]
    faulty, errors = [], []
    for sample in samples:
        rows, mine = planted(sample.target, len(config.labels), rng, known)
        faulty.append(replace(sample, target=target_of(sample.target, rows)))
        errors.append(mine)
    order = rng.permutation(len(samples))
    pictures: dict[int, dict] = {}
    for fold in range(FOLDS):
        asked = sorted(order[fold::FOLDS].tolist())
        learned = [s for i, s in enumerate(faulty) if i not in set(asked)]
        predictor, _ = learn(learned, config, params)
        found = ask(predictor, [faulty[i] for i in asked])
        for i, detections in zip(asked, found, strict=True):
            more = {"errors": errors[i], "fold": fold, "truth": target_as_json(samples[i].target)}
            pictures[i] = picture_of(faulty[i], faulty[i].target, detections, **more)
    return {"pictures": [pictures[i] for i in range(len(samples))]}


if __name__ == "__main__":
    main()
