"""Train and predict once with every backbone: `python -m benchmarks.learning_backbones --data <folder>`.

Small ones at every image size, larger ones at 224 px unless --all. One step of two images: proof that they
run, no quality. Appends one JSON line each to --results and passes over what stands there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.data_sets import load_samples
from benchmarks.learning import PrintingObserver


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--all", action="store_true", help="every size for the larger ones too")
    parser.add_argument("--names", nargs="*", help="only these backbones")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/backbones.jsonl"))
    args = parser.parse_args()
    import backend.training.run as run
    from backend.nn.detector.backbone_catalog import CATALOG
    from backend.nn.detector.predictor import load_predictor
    from backend.training.inputs import TrainingInputs
    from backend.training.parameters import IMAGE_SIZES, TrainingParams
    from backend.training.recipe import Recipe

    # The smart tools have one network for all backbones.
    quick = Recipe(pass_images_min=2, pass_repeats=1.0, tuning_seconds_min=0, tuning_share=0)
    samples, config, _ = load_samples(args.data, "brush", "train100", 2)
    images = [s.load_rgb() for s in samples[:2]]
    done = set()
    if args.results.is_file():
        rows = map(json.loads, args.results.read_text().splitlines())
        done = {(row["backbone"], row["image_size"]) for row in rows}
    args.results.parent.mkdir(parents=True, exist_ok=True)
    for entry in CATALOG:
        if args.names and entry.name not in args.names:
            continue
        for size in IMAGE_SIZES if entry.size == "small" or args.all else IMAGE_SIZES[:1]:
            if (entry.name, size) in done:
                continue
            params = TrainingParams(
                epochs=1, batch_size=2, image_size=size, pretrained=False, backbone=entry.name
            )
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                outcome = run.train_version(
                    TrainingInputs(samples, tuple(config.labels), params, Path(folder), recipe=quick),
                    PrintingObserver(),
                )
                trained = time.perf_counter() - started
                predictor = load_predictor(outcome.folder)
                found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
            row = {
                "backbone": entry.name,
                "family": entry.family,
                "image_size": size,
                "train_seconds": round(trained, 1),
                "step_seconds": round(outcome.card.facts["training_seconds"], 2),
                "images_predicted": len(found),
            }
            with args.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
