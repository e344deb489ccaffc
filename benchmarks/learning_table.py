"""Print every figure of the learning on one page: `python -m benchmarks.learning_table`.

Reads benchmarks/results and measures nothing: the newest row through HTTP of each set and number of images,
the peer that ran last on the same images (its seconds for all epochs, also where only some were run), the
seeds, the ablation, other fits of the scores and the rates of `/predict`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

RESULTS = Path("benchmarks/results")
# What each set has to reach with 100 images.
FLOORS = {
    "bccd": {"box_map": 0.45, "box_map50": 0.75},
    "polygon": {"box_map50": 0.72, "mask_map": 0.30, "mask_map50": 0.70, "iou": 0.72},
    "brush": {"box_map50": 0.72, "mask_map": 0.30, "mask_map50": 0.70, "iou": 0.72},
    "rectangle": {"box_map50": 0.72},
}
QUALITY = ("box_map", "box_map50", "mask_map", "mask_map50", "iou")
CUT = ("precision", "recall", "ece", "spearman")
PEER_EPOCHS = 50
COST = ("train_seconds", "images_seen", "epochs_run", "images_per_s_at_default", "images_per_s_at_0.01")

COLUMNS = (*QUALITY, *CUT, *COST)
BARE = ("times_bare_one_after_another", "times_bare_without_masks", "times_bare_side_by_side")
RATES = ("images_per_s", *BARE)
SCORED = ("set", "images", "image_size", "start", "seed")


def rows(name: str) -> list[dict]:
    """Return the rows of a results file, oldest first."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def shown(value: object) -> str:
    """Return a figure in the width of a column."""
    if isinstance(value, list):
        return " ".join(map(shown, value))
    if isinstance(value, float) and abs(value) < 2:
        return f"{value:.3f}"
    return "" if value is None else str(value)


def line(*cells: object) -> None:
    print("| " + " | ".join(shown(cell) for cell in cells) + " |")


def head(title: str, *columns: str) -> None:
    print(f"\n{title}\n")
    line(*columns)
    line(*("---" for _ in columns))


def through_http() -> None:
    """Print the newest row of each set and number of images, with the floors and the peer below it."""
    newest, peers = {}, {}
    for row in rows("learning_http"):
        key = (row["set"], row["images"])
        newest[key] = row
        if "peer" in row:
            peers[key] = row["peer"]
    head("Through HTTP, defaults", "set", "images", "who", *COLUMNS)
    for key in sorted(newest):
        row = newest[key]
        line(*key, row.get("start", "ours"), *(row.get(column) for column in COLUMNS))
        if key[1] == 100 and key[0] in FLOORS:
            line(*key, "floor", *(FLOORS[key[0]].get(column) for column in COLUMNS))
        if key in peers:
            peer = dict(peers[key])
            if peer["epochs"] < PEER_EPOCHS:  # run for its pace only
                peer = {
                    name: peer[name] for name in ("peer", "images_seen", "epochs", "seconds_for_all_epochs")
                }
            peer.update(train_seconds=peer["seconds_for_all_epochs"], epochs_run=peer["epochs"])
            line(*key, peer["peer"], *(peer.get(column) for column in COLUMNS))


def seeds() -> None:
    """Print mean and spread of the runs in one process that differ by their seed alone."""
    groups = defaultdict(list)
    for row in rows("learning"):
        name, _, seed = row["name"].rpartition(" seed ")
        if name:
            groups[name.rstrip(",")].append((int(seed), row))
    columns = (*QUALITY, *CUT)
    head("Several seeds, in one process: mean (least to most)", "runs", "seeds", *columns)
    for name, group in groups.items():
        cells = []
        for column in columns:
            values = [row[column] for _, row in group if column in row]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "")
        line(name, ", ".join(str(seed) for seed, _ in sorted(group)), *cells)


def ablation() -> None:
    """Print what each idea brings."""
    head("Without one idea", "run", *QUALITY, "seconds")
    for row in rows("ablation"):
        line(row["name"], *(row.get(column) for column in (*QUALITY, "seconds")))


def scores() -> None:
    """Print what another fit of the scores makes of the same networks."""
    head("The same networks, scores as stored and fitted again", *SCORED, "fit", *CUT)
    for row in rows("learning_scores"):
        for fit in ("stored", "fitted_now"):
            line(*(row[column] for column in SCORED), fit, *(row[fit].get(column) for column in CUT))


def rates() -> None:
    """Print the newest rates of `/predict`, and its time as a multiple of the bare network's."""
    newest = {row["set"]: row for row in rows("predict_rate") if "times_bare_without_masks_at_default" in row}
    for cut in ("at_default", "at_0.01"):
        columns = [f"{name}_{cut}" for name in RATES]
        head(f"/predict in each round, {cut.replace('_', ' ')}", "set", *RATES)
        for name, row in newest.items():
            line(name, *(row[column] for column in columns))


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    through_http()
    seeds()
    ablation()
    scores()
    rates()
