"""Train and score in-process, without HTTP: `python -m benchmarks.learning --data <folder> --set bccd`.

Appends one JSON line per run to --results; a run whose name stands there already is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from benchmarks.data_sets import SETS, load_samples


class PrintingObserver:
    def on_tiles(self, reason):
        print(reason, flush=True)

    def on_progress(self, progress):
        pass

    def on_epoch(self, report):
        numbers = {k: round(v, 3) for k, v in report.metrics.items()}
        print(
            f"{time.strftime('%H:%M:%S')} epoch {report.epoch}/{report.epochs} loss {report.loss:.3f} "
            f"left {report.seconds_left:.0f}s {numbers}",
            flush=True,
        )

    def on_warning(self, message):
        print("WARNING", message, flush=True)

    def stop_requested(self):
        return None


def score(detections, samples, label_count, has_masks):
    from backend.core.geometry.matching import match_at_half_iou, scored_hits
    from backend.nn.detector.heads.average_precision import box_average_precision, mask_average_precision
    from backend.training.judging.metrics import expected_calibration_error, precision_recall

    targets = [s.target for s in samples]
    known = all(m is not None for t in targets for m in t.masks)
    out = box_average_precision(detections, targets, label_count)
    if has_masks and known:
        out.update(mask_average_precision(detections, targets, label_count))
    precision, recall = precision_recall(detections, targets, 0.30)
    scores, _, hits, _ = scored_hits(detections, targets)
    kept = scores >= 0.30
    out.update(precision=precision, recall=recall, ece=expected_calibration_error(scores[kept], hits[kept]))
    f1s, image_scores = [], []
    for found, target in zip(detections, targets, strict=True):
        mine, count = match_at_half_iou(found, target)
        kept_one = found.scores >= 0.30
        f1s.append(2 * mine[kept_one].sum() / max(kept_one.sum() + count, 1))
        image_scores.append(found.image_score)
    out["spearman"] = spearman(np.array(image_scores), np.array(f1s))
    for label in range(label_count):
        mine = [only(d, label) for d in detections]
        theirs = [only_target(t, label) for t in targets]
        out[f"map50_label{label}"] = box_average_precision(mine, theirs, label_count)["box_map50"]
    if has_masks and known:
        by_label = semantic_iou(detections, targets, label_count)
        out["iou"] = np.nanmean(by_label)
        out.update({f"iou_label{label}": value for label, value in enumerate(by_label) if label_count > 1})
    return {k: round(float(v), 4) for k, v in out.items() if np.isfinite(v)}  # no order without hits


def spearman(a, b):
    def ranks(x):
        order = np.argsort(x)
        r = np.empty(len(x))
        r[order] = np.arange(len(x))
        for v in np.unique(x):
            r[x == v] = r[x == v].mean()
        return r

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def only(d, label):
    keep = d.label_indices == label
    return replace(
        d,
        boxes_xyxy_px=d.boxes_xyxy_px[keep],
        scores=d.scores[keep],
        label_indices=d.label_indices[keep],
        masks=tuple(m for m, k in zip(d.masks, keep, strict=True) if k),
        turned_boxes_px=None if d.turned_boxes_px is None else d.turned_boxes_px[keep],
    )


def only_target(t, label):
    keep = t.label_indices == label
    return replace(
        t,
        boxes_xyxy_px=t.boxes_xyxy_px[keep],
        label_indices=t.label_indices[keep],
        masks=tuple(m for m, k in zip(t.masks, keep, strict=True) if k),
        turned_boxes_px=None if t.turned_boxes_px is None else t.turned_boxes_px[keep],
    )


def semantic_iou(detections, targets, label_count, cut=0.30):
    """Return the IoU of all that is shown of each label, [L]; NaN for a label that neither side has."""
    inter, union = np.zeros(label_count), np.zeros(label_count)
    for d, t in zip(detections, targets, strict=True):
        for label in range(label_count):
            sides = []
            for masks, mine in (
                (d.masks, (d.label_indices == label) & (d.scores >= cut)),
                (t.masks, t.label_indices == label),
            ):
                full = np.zeros((t.size.height, t.size.width), bool)
                for mask, is_mine in zip(masks, mine, strict=True):
                    if is_mine and mask is not None:
                        full |= mask.full(t.size)
                sides.append(full)
            inter[label] += (sides[0] & sides[1]).sum()
            union[label] += (sides[0] | sides[1]).sum()
    return inter / np.where(union > 0, union, np.nan)


def score_along(every, samples, image_size_px, label_count):
    """Have every loop score the validation images now and then too; return where the rows will stand."""
    from backend.training.detector.evaluation import measured, predict_images
    from backend.training.detector.images import load_images
    from backend.training.detector.loop import TrainingLoop

    images = load_images(samples, image_size_px, Path(tempfile.mkdtemp()), should_stop=lambda: False).images
    judge, rows = TrainingLoop._judge, []

    def judge_both(loop, epoch, **how):
        held_out = judge(loop, epoch, **how)
        if (epoch + 1) % every == 0:
            found = predict_images(loop.ema_predictor(), images)
            scores = measured(loop.heads, found, images, label_count)
            both = {"held_out": held_out, "validation": scores}
            both = {side: {k: round(v, 4) for k, v in named.items()} for side, named in both.items()}
            rows.append({"epoch": epoch + 1, **both})
        return held_out

    TrainingLoop._judge = judge_both
    return rows


def boxes_from_masks(detections):
    """Label Studio knows a painted region by its pixels alone, so its box is their extent."""
    out = []
    for d in detections:
        boxes = d.boxes_xyxy_px.copy()
        for k, m in enumerate(d.masks):
            if m is not None:
                boxes[k] = (m.left_px, m.top_px, m.left_px + m.bits.shape[1], m.top_px + m.bits.shape[0])
        out.append(replace(d, boxes_xyxy_px=boxes))
    return out


def nameless(words):
    """Return the arguments without the folders of this machine."""
    names = {"--data": "DATA", "--keep": "KEPT", "--results": "RESULTS", "--pretrained-path": "WEIGHTS"}
    return [names.get(before, word) for before, word in zip(["", *words[:-1]], words, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--train", default="train100")
    parser.add_argument("--first", type=int)
    parser.add_argument("--params", default='{"pretrained": false}')
    parser.add_argument("--recipe", default="{}", help="recipe numbers to replace, for ablations")
    parser.add_argument("--augmentation", default="{}")
    parser.add_argument("--without", nargs="*", default=[], help="names in benchmarks.learning_without")
    parser.add_argument("--pretrained-path", type=Path, help="weights that stand in for ImageNet's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--score-every", type=int, help="score the validation images after so many epochs too"
    )
    parser.add_argument("--name")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/learning.jsonl"))
    parser.add_argument("--keep", type=Path, help="folder for the version")
    args = parser.parse_args()
    name = (
        args.name
        or f"{args.set}-{args.train}-{args.first or 'all'}-seed{args.seed}-{args.params}-{args.recipe}"
    )
    if args.results.is_file() and any(
        json.loads(r)["name"] == name for r in args.results.read_text().splitlines()
    ):
        print(f"{name} stands in {args.results}")
        return
    import backend.training.run as run
    from backend.nn.detector.predictor import load_predictor
    from backend.training.inputs import TrainingInputs
    from backend.training.parameters import TrainingParams
    from backend.training.recipe import RECIPE, Plan
    from benchmarks.learning_without import WITHOUT

    for idea in args.without:
        WITHOUT[idea]()
    recipe_changes, augmentation_changes = json.loads(args.recipe), json.loads(args.augmentation)
    make_plan = run.plan_training
    of_plan = {f.name for f in fields(Plan)}
    run.plan_training = lambda *a, **k: replace(
        make_plan(*a, **k), **{name: v for name, v in recipe_changes.items() if name in of_plan}
    )
    recipe = replace(
        RECIPE,
        augmentation=replace(RECIPE.augmentation, **augmentation_changes),
        **{name: v for name, v in recipe_changes.items() if name not in of_plan},
    )
    samples, config, _ = load_samples(args.data, args.set, args.train, args.first)
    params = TrainingParams(**json.loads(args.params))
    workdir = args.keep or Path(tempfile.mkdtemp())
    validation, _, _ = load_samples(args.data, args.set, "val")
    along = None
    if args.score_every:
        along = score_along(args.score_every, validation, params.image_size, len(config.labels))
    started = time.time()
    inputs = TrainingInputs(
        samples,
        tuple(config.labels),
        params,
        workdir,
        seed=args.seed,
        pretrained_path=args.pretrained_path,
        recipe=recipe,
    )
    outcome = run.train_version(inputs, PrintingObserver())
    seconds = time.time() - started
    predictor = load_predictor(outcome.folder)
    images = [s.load_rgb() for s in validation]
    predictor.predict(images[:8], confidence_threshold=0.01, nms_threshold=0.4)
    started = time.time()
    predictor.predict(images, confidence_threshold=0.30, nms_threshold=0.4)
    rate = len(images) / (time.time() - started)
    started = time.time()
    found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
    rate_low = len(images) / (time.time() - started)
    scored_at_default = predictor.predict(images, confidence_threshold=0.30, nms_threshold=0.4)
    found = [replace(f, image_score=d.image_score) for f, d in zip(found, scored_at_default, strict=True)]
    has_masks = "masks" in outcome.card.facts["architecture"]["heads"]
    scored = boxes_from_masks(found) if has_masks else found
    row = {
        "name": name,
        "seconds": round(seconds, 1),
        "load_average": round(os.getloadavg()[1], 1),
        "images_per_s": round(rate, 1),
        "images_per_s_at_0.01": round(rate_low, 1),
        "rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        **score(scored, validation, len(config.labels), has_masks),
        "held_out": outcome.metrics,
        "start": outcome.card.facts["start"],
        "best_epoch": outcome.card.facts["best_epoch"],
        "epochs_run": outcome.card.facts["epochs_run"],
        "images_seen": outcome.card.facts["images_seen"],
        **({"along": along} if along else {}),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip(),
        "command": "python -m benchmarks.learning " + shlex.join(nameless(sys.argv[1:])),
    }
    args.results.parent.mkdir(parents=True, exist_ok=True)
    with args.results.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
