"""How many labels does the order of *Label next* need to reach what a random order reaches with all of them?

    python -m benchmarks.label_next --set rare --seeds 0 1 2 3 4
    python -m benchmarks.label_next --set rare --seeds 0 1 2 3 4 --orders unlike doubt
    python -m benchmarks.label_next --set hituav --data DATA --seeds 0
    python -m benchmarks.label_next --set rare --table
    python -m benchmarks.label_next --set rare --chosen --seeds 0 1 2 3 4

`rare` is drawn here, anew for each seed: 120 strips of 224 x 32 px with 3 to 5 objects, four labels of which
one has about one object in fifty, and a third of the pictures nearly equal others. It is judged on 80 drawn
pictures in which more objects have the rare label, since an average precision needs some. Other sets are
Label Studio tasks; their pool is the split `train`, and the split `val` judges. Labels come in rounds: a
version learns all that is labelled, with about as many views in each round, then the product's ranking (or
chance) says what is labelled next. Before the first training the ranking has the shipped encoder's features
alone. What random reaches with all labels is the last round, which all orders share. Every round is a row of
benchmarks/results/label_next.jsonl; rows that stand there are not repeated. `unlike` and `doubt` are the
ranking with one half of what it looks at. `--chosen` trains nothing: it says how soon the ranking before any
training takes rare objects and near duplicates, and how many of the pictures that it calls near duplicates
are some.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.live_service import RESULTS, append_result

LABELS = ("Disc", "Square", "Triangle", "Star")
RARE = LABELS.index("Star")
COLOURS = {"Disc": (70, 90, 200), "Square": (80, 180, 90), "Triangle": (220, 200, 80), "Star": (210, 70, 70)}
SIZE_WH = (224, 32)
BASE_PICTURES, TWIN_PICTURES, JUDGES = 80, 40, 80
OBJECTS = (3, 5)
RADIUS_PX = (6.0, 10.0)
RARE_IN_POOL, RARE_IN_JUDGES = 0.025, 0.15
_CHOSEN_AT = (30, 54, 84, 120)
ORDERS = ("ours", "random", "unlike", "doubt")
SETTINGS: dict[str, dict[str, Any]] = {
    "rare": {"rounds": [30, 54, 84, 120], "views": 600, "params": {"image_size": 224}},
    "hituav": {"rounds": [10, 20, 40, 56, 80], "views": 640, "params": {"image_size": 320}},
    "bccd": {"rounds": [10, 30, 60, 100, 292], "views": 2400, "params": {"image_size": 224}},
}
SHARED = {"pretrained": False, "enable_segmentation": False, "tiles": "off"}


@dataclass(frozen=True)
class Pool:
    """What can be labelled and what judges; scenes [N]: near duplicates share their number."""

    samples: Sequence
    judges: Sequence
    labels: tuple[str, ...]
    scenes: np.ndarray

    def counts(self, rows: Sequence[int]) -> np.ndarray:
        """Return how many objects of each label the pictures show, [L]."""
        shown = [self.samples[row].target.label_indices for row in rows]
        return np.bincount(np.concatenate([np.zeros(0, np.int64), *shown]), minlength=len(self.labels))


def drawn_pool(seed: int) -> Pool:
    """Return a pool of its own for each seed, drawn by this module."""
    rng = np.random.default_rng(seed)
    scenes = [_scene(rng, labels) for labels in _dealt(rng, BASE_PICTURES, RARE_IN_POOL)]
    # Bursts, as of a camera that goes on: some scenes have many twins, most have none.
    bursts = rng.permutation(BASE_PICTURES)[: TWIN_PICTURES // 3]
    numbers = [*range(BASE_PICTURES), *rng.choice(bursts, TWIN_PICTURES).tolist()]
    pictures = [_sample(rng, i, scenes[n], is_twin=i >= BASE_PICTURES) for i, n in enumerate(numbers)]
    judge_rng = np.random.default_rng(10_000 + seed)
    judges = [
        _sample(judge_rng, i, _scene(judge_rng, labels), is_twin=False)
        for i, labels in enumerate(_dealt(judge_rng, JUDGES, RARE_IN_JUDGES))
    ]
    return Pool(pictures, judges, LABELS, np.array(numbers))


def _dealt(rng, pictures: int, rare_share: float) -> list[list[int]]:
    """Return the labels of each picture's objects; the rare one has exactly its share."""
    counts = rng.integers(OBJECTS[0], OBJECTS[1] + 1, pictures)
    labels = rng.integers(0, len(LABELS) - 1, counts.sum())
    labels[rng.permutation(len(labels))[: round(rare_share * len(labels))]] = RARE
    return [part.tolist() for part in np.split(labels, np.cumsum(counts)[:-1])]


def _scene(rng, labels: Sequence[int]) -> dict:
    """Return what a picture shows, before it is drawn: ground, and objects that hardly overlap."""
    things: list[dict] = []
    for label in labels:
        for _ in range(30):
            radius = float(rng.uniform(*RADIUS_PX))
            x, y = rng.uniform(radius + 2, np.array(SIZE_WH) - radius - 2)
            if all(np.hypot(x - t["x"], y - t["y"]) > 0.9 * (radius + t["radius"]) for t in things):
                break
        turn = float(rng.uniform(0, 2 * np.pi))
        colour = np.array(COLOURS[LABELS[label]]) + rng.normal(0, 25, 3)
        things.append({"label": label, "x": x, "y": y, "radius": radius, "turn": turn, "colour": colour})
    site = int(rng.choice(5, p=[0.4, 0.25, 0.15, 0.12, 0.08]))
    return {"site": site, "seed": int(rng.integers(2**31)), "things": things}


def _sample(rng, number: int, scene: dict, *, is_twin: bool):
    """Return a scene as a sample; a twin is moved by a few pixels, and its light differs."""
    from backend.core.geometry.instances import ImageSize, TrainingTarget
    from backend.training.inputs import TrainingSample

    shift = rng.uniform(-2, 2, 2) if is_twin else np.zeros(2)
    ground = np.random.default_rng(scene["seed"])
    site = np.random.default_rng(scene["site"])
    grain = cv2.resize(ground.normal(0, 1, (9, 21)).astype(np.float32), SIZE_WH)
    canvas = site.uniform(70, 180, 3) + grain[..., None] * site.uniform(8, 30)
    boxes = []
    for thing in scene["things"]:
        mask = np.zeros(SIZE_WH[::-1], np.uint8)
        outline = _outline(LABELS[thing["label"]], thing["turn"]) * thing["radius"]
        outline += np.array([thing["x"], thing["y"]]) + shift
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
        shade = thing["colour"] + cv2.resize(ground.normal(0, 14, (4, 28)), SIZE_WH)[..., None]
        canvas[mask > 0] = shade[mask > 0]
        ys, xs = np.nonzero(mask)
        boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    canvas = canvas * rng.uniform(0.96, 1.04) + rng.normal(0, 5, canvas.shape)
    rgb = cv2.GaussianBlur(np.clip(canvas, 0, 255).astype(np.uint8), (3, 3), 0)
    labels = np.array([thing["label"] for thing in scene["things"]], np.int64)
    size = ImageSize(*SIZE_WH)
    target = TrainingTarget(size, np.array(boxes, np.float32), labels, (None,) * len(boxes))
    return TrainingSample(number + 1, lambda: rgb, target)


def _outline(label: str, turn: float) -> np.ndarray:
    """Return the corners [K, 2] of a shape of radius 1."""
    corners = {"Disc": 40, "Square": 4, "Triangle": 3, "Star": 10}[label]
    angle = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    length = np.where(np.arange(corners) % 2, 0.45, 1.0) if label == "Star" else np.ones(corners)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * length[:, None]


def pool_of(data: Path, name: str) -> Pool:
    """Return a data set of Label Studio tasks as a pool; which of its pictures are twins is not known."""
    from benchmarks.data_sets import load_samples

    samples, config, _ = load_samples(data, name, "train")
    judges, _, _ = load_samples(data, name, "val")
    return Pool(samples, judges, tuple(config.labels), np.arange(len(samples)))


def trained(pool: Pool, rows: Sequence[int], settings: dict, seed: int):
    """Return a predictor that learned the pictures of `rows`."""
    from backend.nn.detector.predictor import load_predictor
    from backend.training.inputs import TrainingInputs
    from backend.training.parameters import TrainingParams
    from backend.training.recipe import RECIPE
    from backend.training.run import train_version

    epochs = max(1, round(settings["views"] / RECIPE.images_per_epoch(len(rows))))
    with tempfile.TemporaryDirectory() as folder:
        inputs = TrainingInputs(
            [pool.samples[row] for row in sorted(rows)],
            pool.labels,
            TrainingParams(**SHARED, **settings["params"], epochs=epochs),
            Path(folder),
            seed=seed,
            # Nobody will point at anything with these versions.
            recipe=replace(RECIPE, tuning_share=0.0, tuning_seconds_min=0.0),
        )
        return load_predictor(train_version(inputs, _Quiet()).folder)


class _Quiet:
    """Hears a training and says nothing."""

    def on_tiles(self, reason):
        pass

    on_progress = on_epoch = on_warning = on_tiles

    def stop_requested(self):
        return None


def score(predictor, pool: Pool) -> dict[str, float]:
    """Return the average precisions on the judging pictures."""
    from backend.nn.detector.heads.average_precision import box_average_precision
    from benchmarks.learning import only, only_target

    found = _predict(predictor, pool.judges, 0.01)
    targets = [one.target for one in pool.judges]
    scores = box_average_precision(found, targets, len(pool.labels))
    for label, name in enumerate(pool.labels):
        mine, theirs = [only(d, label) for d in found], [only_target(t, label) for t in targets]
        scores[f"map50_{name}"] = box_average_precision(mine, theirs, len(pool.labels))["box_map50"]
    return {name: round(float(value), 4) for name, value in scores.items()}


def _predict(predictor, samples, threshold: float) -> list:
    found: list = []
    for start in range(0, len(samples), 16):
        images = [one.load_rgb() for one in samples[start : start + 16]]
        found += predictor.predict(
            images, confidence_threshold=threshold, nms_threshold=0.4, with_masks=False
        )
    return found


def ranked(pool: Pool, order: str, embedded: np.ndarray, rows: Sequence[int], predictor) -> list[int]:
    """Return the unlabelled pictures as the product ranks them, or by half of what it looks at."""
    from backend.core.label_next.doubt import LEAST_SCORE, LabelWeights, doubt_of
    from backend.core.label_next.usefulness import rank_pictures

    left = [row for row in range(len(pool.samples)) if row not in set(rows)]
    found = weights = None
    if predictor is not None and order != "unlike":
        found = _predict(predictor, [pool.samples[row] for row in left], LEAST_SCORE)
        counts = dict(zip(pool.labels, pool.counts(rows).tolist(), strict=True))
        weights = LabelWeights(counts, pool.labels)
    if order == "doubt" and found is not None and weights is not None:
        worth = [doubt_of(one.scores, one.label_indices, weights).amount for one in found]
    else:
        useful = rank_pictures(embedded[left], embedded[list(rows)], found, weights)
        worth = [one.usefulness for one in useful]
    return [left[i] for i in sorted(range(len(left)), key=lambda i: (-worth[i], left[i]))]


def run(name: str, order: str, seed: int, options) -> None:
    """Label a pool in rounds by one order, and keep a row for each round."""
    pool = drawn_pool(seed) if name == "rare" else pool_of(options.data, name)
    settings = {**SETTINGS[name], "variant": options.variant}
    known = {
        (row["order"], row["labelled"]): row
        for row in kept(name)
        if row["seed"] == seed and row["settings"] == settings
    }
    embedded = np.zeros((0, 0), np.float32)
    shuffled = np.random.default_rng(100 + seed).permutation(len(pool.samples)).tolist()
    chosen: list[int] = []
    coming = shuffled
    for labelled in settings["rounds"]:
        if labelled > options.until:
            return
        whose = "random" if labelled == len(pool.samples) else order
        if (whose, labelled) in known:
            chosen, coming = known[whose, labelled]["chosen"], known[whose, labelled]["next"]
            continue
        if whose != "random" and not len(embedded):
            embedded = _embedded(pool)
        if whose != "random" and not chosen:
            coming = ranked(pool, order, embedded, [], None)
        chosen = sorted([*chosen, *coming[: labelled - len(chosen)]])
        started = time.process_time()
        predictor = trained(pool, chosen, settings, seed)
        scores = score(predictor, pool)
        if whose == "random":
            coming = [row for row in shuffled if row not in set(chosen)]
        else:
            coming = ranked(pool, order, embedded, chosen, predictor)
        append_result(
            "label_next",
            {
                "set": name,
                "seed": seed,
                "order": whose,
                "labelled": labelled,
                "settings": settings,
                **scores,
                "objects": dict(zip(pool.labels, pool.counts(chosen).tolist(), strict=True)),
                "twins": len(chosen) - len(set(pool.scenes[chosen].tolist())),
                "cpu_s": round(time.process_time() - started, 1),
                "chosen": chosen,
                "next": coming,
            },
        )


def show_chosen(seeds: Sequence[int]) -> None:
    """Print how soon the ranking before any training takes rare objects and near duplicates."""
    from backend.core.label_next.order import order_pictures

    found, called, right = [], 0, 0
    for seed in seeds:
        pool = drawn_pool(seed)
        embedded = _embedded(pool)
        ours = order_pictures(embedded, embedded[:0])
        chance = np.random.default_rng(100 + seed).permutation(len(ours.rows))
        twins = np.flatnonzero(ours.twin_of >= 0)
        called += len(twins)
        right += int((pool.scenes[twins] == pool.scenes[ours.twin_of[twins]]).sum())
        found.append([[_held(pool, rows[:n]) for rows in (ours.rows, chance)] for n in _CHOSEN_AT])
    print(f"{right} of {called} that are called near duplicates are some; {TWIN_PICTURES} in each pool")
    for labelled, (ours_held, by_chance) in zip(_CHOSEN_AT, np.mean(found, axis=0), strict=True):
        print(
            f"{labelled:4} labelled: {ours_held[0]:.1f} rare objects (by chance {by_chance[0]:.1f}), "
            f"{ours_held[1]:.1f} near duplicates (by chance {by_chance[1]:.1f})"
        )


def _held(pool: Pool, rows: np.ndarray) -> tuple[int, int]:
    """Return how many rare objects some pictures show, and how many of the pictures are near duplicates."""
    return int(pool.counts(rows.tolist())[RARE]), len(rows) - len(set(pool.scenes[rows].tolist()))


def _embedded(pool: Pool) -> np.ndarray:
    from backend.bootstrap.by_example import picture_embedder

    embedder = picture_embedder()
    return np.stack([embedder.embed(one.load_rgb()) for one in pool.samples])


def kept(name: str) -> list[dict]:
    """Return the rows that were measured of a set."""
    path = RESULTS / "label_next.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [row for row in rows if row["set"] == name]


def table(name: str, variant: str, measure: str) -> None:
    """Print the mean curves of both orders, and the labels that ours needs for what random ends with."""
    settings = {**SETTINGS[name], "variant": variant}
    rows = [row for row in kept(name) if row["settings"] == settings]
    rounds = settings["rounds"]
    by_seed: dict[int, dict] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], {})[row["order"], row["labelled"]] = row
    measured = {row["order"] for row in rows}
    orders = [order for order in ORDERS if order in measured]
    wanted = {*((order, n) for order in orders for n in rounds[:-1]), ("random", rounds[-1])}
    whole = {seed: found for seed, found in by_seed.items() if wanted <= set(found)}
    print(f"{name}, {variant}: {measure}, mean of {len(whole)} seeds that are whole")
    if not whole:
        return
    curves: dict[str, np.ndarray] = {}
    for order in orders:
        columns = []
        for labelled in rounds:
            whose = "random" if labelled == rounds[-1] else order
            columns.append([found[whose, labelled] for found in whole.values()])
        curves[order] = np.array([np.mean([row[measure] for row in column]) for column in columns])
        rarest = min(columns[-1][0]["objects"], key=columns[-1][0]["objects"].get)
        for labelled, column, value in zip(rounds, columns, curves[order], strict=True):
            spread = np.std([row[measure] for row in column])
            rare = np.mean([row["objects"][rarest] for row in column])
            twins = np.mean([row["twins"] for row in column])
            print(
                f"  {order:7} {labelled:4} labelled: {value:.3f} (spread {spread:.3f}), {rare:.1f} of the "
                f"{rarest}, {twins:.1f} twins"
            )
    for order in orders:
        needed = labels_for(curves["random"][-1], rounds, curves[order])
        print(f"  {order} reaches random's end with {needed:.0f} of {rounds[-1]} ({needed / rounds[-1]:.0%})")
        if order != "random":
            worst = float((curves[order] - curves["random"]).min())
            print(f"  {order} less random, at the worst round: {worst:+.3f}")


def labels_for(goal: float, rounds: Sequence[int], curve: np.ndarray) -> float:
    """Return with how many labels a curve first reaches a goal, on the straight lines between its rounds."""
    for i, value in enumerate(curve):
        if value >= goal:
            if not i:
                return float(rounds[0])
            share = (goal - curve[i - 1]) / max(value - curve[i - 1], 1e-9)
            return float(rounds[i - 1] + share * (rounds[i] - rounds[i - 1]))
    return float(rounds[-1])


def main() -> int:
    """Measure what is not measured yet, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=SETTINGS, required=True)
    parser.add_argument("--data", type=Path, help="folder of the data sets that are not drawn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--orders", choices=ORDERS, nargs="+", default=["random", "ours"])
    parser.add_argument("--until", type=int, default=10**9, help="no rounds of more labels")
    parser.add_argument("--variant", default="product", help="a name, to keep a changed ranking apart")
    parser.add_argument("--measure", default="box_map")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--chosen", action="store_true", help="train nothing")
    options = parser.parse_args()
    if options.chosen:
        show_chosen(options.seeds)
        return 0
    for seed in [] if options.table else options.seeds:
        for order in options.orders:
            run(options.set, order, seed, options)
    table(options.set, options.variant, options.measure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
