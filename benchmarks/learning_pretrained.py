"""What `pretrained: true` brings and which rate its backbone needs, with weights made here.

    python -m benchmarks.learning_pretrained --data DATA [--set brush] [--first 30] [--image-size 224]

ImageNet weights cannot be had everywhere, so the file that stands in for them holds the backbone of the
network that learned from drawn scenes, as timm would store it. It is read as a user's `PRETRAINED_PATH` is;
neck and heads start at random, as beside ImageNet weights. Rows go to benchmarks/results/ablation.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.training.detector.start_weights import SHIPPED_START, start_from_scenes
from benchmarks.learning import SETS
from benchmarks.learning_ablation import RESULTS

# Whether the file is used, and the recipe's numbers that are replaced.
VARIANTS: dict[str, tuple[bool, dict]] = {
    "random start": (False, {}),
    "pretrained backbone, its rate 0.15 of the heads'": (True, {}),
    "pretrained backbone, its rate that of the heads": (True, {"backbone_rate": 1.0}),
}


def write_backbone(path: Path, image_size_px: int) -> None:
    """Write the backbone that learned from drawn scenes under timm's names."""
    network = InstanceNetwork(Architecture(SHIPPED_START.backbone, image_size_px, 1, (BOXES, MASKS)))
    start_from_scenes(network)
    save_file({k: v.contiguous() for k, v in network.backbone.body.state_dict().items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="brush")
    parser.add_argument("--first", type=int, default=30)
    parser.add_argument("--image-size", type=int, default=224)
    args = parser.parse_args()
    where = f"{args.set}, first {args.first}, {args.image_size} px"
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / f"{SHIPPED_START.backbone}.safetensors"
        write_backbone(weights, args.image_size)
        for name, (is_pretrained, recipe) in VARIANTS.items():
            command = [sys.executable, "-m", "benchmarks.learning", "--data", str(args.data)]
            command += ["--set", args.set, "--first", str(args.first), "--name", f"{where}: {name}"]
            params = {"pretrained": is_pretrained, "image_size": args.image_size}
            command += ["--params", json.dumps(params), "--recipe", json.dumps(recipe)]
            command += ["--results", str(RESULTS)]
            command += ["--pretrained-path", str(weights)] if is_pretrained else ["--without", "drawn start"]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
