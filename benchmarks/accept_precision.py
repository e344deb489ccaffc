"""Is what is accepted by precision as right as promised, and is it as much as could have been accepted?

    python -m benchmarks.planted_errors --data DATA --set bccd --out FOLDER
    python -m benchmarks.accept_precision FOLDER/bccd-planted-seed0.json

Takes what versions found in pictures that they did not learn from. In each of DRAWS draws some pictures, as
many as a training holds back, say from which score up to accept; the others show how much of that is right,
by the labels without planted errors. Hindsight accepts, by label, from the lowest score that keeps the
precision on the others themselves.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

DRAWS = 40
PROMISES = (0.90, 0.95, 0.99)
RESULTS = Path("benchmarks/results/accept_precision.jsonl")


def judged(picture):
    """Return scores, labels and hits of what was found in a picture, by its labels without planted errors."""
    from backend.core.geometry.matching import match_at_half_iou
    from benchmarks.second_look import compared

    one = compared({**picture, "objects": picture.get("truth", picture["objects"])})
    hits, _ = match_at_half_iou(one.found, one.target)
    return one.found.scores, one.found.label_indices, hits


def joined(parts):
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def in_hindsight(scores, labels, hits, label_count, wanted):
    """Return how many objects could have been accepted at a precision, by the truth about them."""
    total = 0
    for label in range(label_count):
        mine = labels == label
        order = np.argsort(-scores[mine], kind="stable")
        right = np.cumsum(hits[mine][order])
        enough = np.flatnonzero(right / np.arange(1, len(right) + 1) >= wanted)
        total += int(enough[-1]) + 1 if len(enough) else 0
    return total


def figures(pictures, label_count, held_out, wanted):
    from backend.core.acceptance.cutoffs import cutoffs

    parts = [judged(picture) for picture in pictures]
    rng = np.random.default_rng(0)
    precisions, shares, accepted_counts = [], [], []
    for _ in range(DRAWS):
        order = rng.permutation(len(parts))
        known = joined([parts[i] for i in order[:held_out]])
        scores, labels, hits = joined([parts[i] for i in order[held_out:]])
        lowest = [np.inf if c.score is None else c.score for c in cutoffs(*known, label_count, wanted)]
        accepted = scores >= np.array(lowest)[labels]
        could = in_hindsight(scores, labels, hits, label_count, wanted)
        accepted_counts.append(int(accepted.sum()))
        if accepted.any():
            precisions.append(float(hits[accepted].mean()))
        shares.append(int(accepted.sum()) / max(could, 1))
    kept = np.array(precisions or [np.nan])
    return {
        "promised": wanted,
        "held_out": held_out,
        "realised_mean": round(float(kept.mean()), 4),
        "realised_of_all": round(
            float(np.average(kept, weights=[c for c in accepted_counts if c]) if precisions else np.nan), 4
        ),
        "draws_within_0.02": round(float((kept >= wanted - 0.02).mean()), 2),
        "accepted": round(float(np.mean(accepted_counts)), 1),
        "of_hindsight": round(float(np.mean(shares)), 3),
        "draws_with_nothing": DRAWS - len(precisions),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--held-out", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    for path in args.files:
        content = json.loads(path.read_text())
        for held_out in args.held_out:
            for wanted in PROMISES:
                line = {
                    "set": content["set"],
                    "params": {name: content["params"][name] for name in ("image_size", "epochs")},
                    **figures(content["pictures"], len(content["labels"]), held_out, wanted),
                }
                print(json.dumps(line), flush=True)
                with args.results.open("a") as kept:
                    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                    kept.write(json.dumps({"at": at, **line}) + "\n")


if __name__ == "__main__":
    main()
