"""Fit the scores of kept versions anew and score both: what a change of the fit does to the same networks.

    python -m benchmarks.learning_scores --data DATA --set bccd --version KEPT [--version KEPT ...]

The versions must have learned from the first images of train100, as those of `benchmarks.learning --keep` and
of `benchmarks.learning_http --data-dir` have. Appends a line per version to
benchmarks/results/learning_scores.jsonl: the figures on the validation images with the map that the version
came with and with the one that is fitted now.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from backend.nn.detector.heads.score_map import ScoreMap
from backend.nn.detector.predictor import CARD_FILE, Predictor, load_predictor
from backend.training.detector.evaluation import predict_images
from backend.training.detector.images import load_images
from backend.training.judging.calibration import fit_new_map, fit_score_map
from backend.training.judging.holdout import sample_learned, split_by_task
from benchmarks.data_sets import SETS, load_samples
from benchmarks.learning import boxes_from_masks, score
from benchmarks.live_service import append_result

FIGURES = ("precision", "recall", "ece", "spearman", "iou")


def with_map(version: Path, score_map: ScoreMap) -> Predictor:
    """Return the version's predictor as if its scores had been fitted so."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(version, Path(folder) / "version")
        card = json.loads((copy / CARD_FILE).read_text())
        (copy / CARD_FILE).write_text(json.dumps({**card, "score_map": score_map.as_card()}))
        return load_predictor(copy)


def refit(version: Path, card: dict, samples: list) -> ScoreMap:
    """Return the map that is fitted now to the images that the version learned from and held back."""
    used = samples[: card["training_images"] + card["held_out_images"]]
    raw = with_map(version, ScoreMap())
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_images(used, card["params"]["image_size"], Path(folder), should_stop=lambda: False)
        first, held_out = split_by_task(loaded.task_ids)
        asked = [first[k] for k in sample_learned([loaded.images[i].target for i in first])]
        sides = [[loaded.images[i] for i in side] for side in (asked, held_out)]
        (learned, new) = (predict_images(raw, side) for side in sides)
        (learned_targets, new_targets) = ([image.target for image in side] for side in sides)
    fitted = fit_score_map(learned, learned_targets, fit_new_map(learned, learned_targets, new, new_targets))
    assert fitted is not None, "this version found too little to fit its scores to"
    return fitted


def figures(predictor: Predictor, samples: list, label_count: int, has_masks: bool) -> dict:
    """Return how good the scores are on the samples."""
    images = [sample.load_rgb() for sample in samples]
    found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
    at_default = predictor.predict(images, confidence_threshold=0.30, nms_threshold=0.4)
    found = [replace(f, image_score=d.image_score) for f, d in zip(found, at_default, strict=True)]
    scored = score(boxes_from_masks(found) if has_masks else found, samples, label_count, has_masks)
    return {name: scored[name] for name in FIGURES if name in scored}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--version", type=Path, required=True, action="append")
    args = parser.parse_args()
    samples, config, _ = load_samples(args.data, args.set, "train100")
    validation, _, _ = load_samples(args.data, args.set, "val")
    for version in args.version:
        card = json.loads((version / CARD_FILE).read_text())
        if not card["held_out_images"]:
            parser.error(f"{version.name} held no image back: its scores cannot be fitted again")
        has_masks = "masks" in load_predictor(version).architecture.head_names
        maps = {
            "stored": ScoreMap.from_card(card["score_map"]),
            "fitted_now": refit(version, card, samples),
        }
        row = {
            "set": args.set,
            "images": card["training_images"] + card["held_out_images"],
            "image_size": card["params"]["image_size"],
            "start": card["start"],
            "seed": card["seed"],
        }
        for name, score_map in maps.items():
            row[name] = figures(with_map(version, score_map), validation, len(config.labels), has_masks)
        command = f"python -m benchmarks.learning_scores --data DATA --set {args.set} --version KEPT"
        append_result("learning_scores", {**row, "command": command})


if __name__ == "__main__":
    main()
