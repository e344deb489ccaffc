"""What each idea of the recipe brings: train without it, score, one row each.

    python -m benchmarks.learning_ablation --data DATA [--set brush] [--first 30] [--image-size 224]

Small images and few of them, because every row is a whole training. Rows go to
benchmarks/results/ablation.jsonl; a variant that stands there already is not trained again. Prints the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.data_sets import SETS

RESULTS = Path("benchmarks/results/ablation.jsonl")
# Recipe numbers, augmentation numbers and names of `learning_without` that switch one idea off.
VARIANTS: dict[str, tuple[dict, dict, list[str]]] = {
    "defaults": ({}, {}, []),
    "random start": ({}, {}, ["drawn start"]),
    "no mosaics": ({}, {"mosaic": 0.0}, []),
    "no pasted objects": ({}, {"copy_paste": 0.0}, []),
    "no zooming or stretching": ({}, {"zoom_min": 1.0, "zoom_max": 1.0, "stretch": 0.0}, []),
    "colours as they are": ({}, {"brightness": 0, "contrast": 0, "saturation": 0, "hue_degrees": 0}, []),
    "weights not averaged": ({"ema_share": 1e-9}, {}, []),
    "assignment by its own boxes at once": ({"trust_full_from": 1e-9}, {}, []),
    "full size from the start": ({"size_share_start": 1.0}, {}, []),
    "no warm-up": ({"warmup_share": 0.0}, {}, []),
    "one rate to the end": ({"final_rate": 1.0}, {}, []),
    "a rate that falls to a hundredth": ({"final_rate": 0.01}, {}, []),
    "more views: 75 in a pass of 27 images": ({"images_per_epoch": 75}, {}, []),
    # Of a set with several labels only, such as bccd.
    "all labels weigh the same": ({"label_weight_max": 1.0}, {}, []),
    "scores without quality": ({}, {}, ["quality"]),
    "cross-entropy without dice": ({}, {}, ["dice"]),
}
COLUMNS = ("box_map", "box_map50", "mask_map", "mask_map50", "iou", "seconds")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="brush")
    parser.add_argument("--first", type=int, default=30)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    args = parser.parse_args()
    where = f"{args.set}, first {args.first}, {args.image_size} px"
    for name in args.only:
        recipe, augmentation, without = VARIANTS[name]
        command = [sys.executable, "-m", "benchmarks.learning", "--data", str(args.data), "--set", args.set]
        command += ["--first", str(args.first), "--name", f"{where}: {name}", "--results", str(RESULTS)]
        command += ["--params", json.dumps({"pretrained": False, "image_size": args.image_size})]
        command += ["--recipe", json.dumps(recipe), "--augmentation", json.dumps(augmentation)]
        command += ["--without", *without]
        subprocess.run(command, check=True)
    for line in RESULTS.read_text().splitlines():
        row = json.loads(line)
        print(f"{row['name']:60}", *(f"{row.get(column, float('nan')):8.3f}" for column in COLUMNS))


if __name__ == "__main__":
    main()
