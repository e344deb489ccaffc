"""Train choices of whole images in one process and score them, beside a peer on the same images.

    python -m benchmarks.image_choices --data DATA --set trashnet [--seeds 0,1] [--param epochs=30]

DATA/SET holds `tasks.json`, `label_config.xml`, `splits.json` (train, val) and `images/`. Appends a line for
each seed to benchmarks/results/image_choices.jsonl: on the validation images accuracy (single choices) or
mean average precision (multiple ones), and the error of the scores over ten bins. Beside it stands what that
error would be by chance if every score were right (ninety images leave some), and how good the scores are
without the curve that held-out images taught. The peer is a logistic regression on the mean features of the
start weights' backbone; five folds of the training images choose its strength. YOLO11n-cls trains in an
environment of its own: `benchmarks/peers/yolo_choices.py`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from backend.nn.detector.architecture import Architecture
from backend.nn.detector.backbone import normalisation_of
from backend.nn.detector.heads.answer_measures import average_precision
from backend.nn.detector.heads.catalog import HEADS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import load_predictor
from backend.training.detector.images import to_training_size
from backend.training.detector.start_weights import start_from_shipped
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.judging.metrics import expected_calibration_error
from backend.training.parameters import TrainingParams, parse_parameter
from backend.training.run import train_version
from benchmarks.data_sets import load_split
from benchmarks.learning import PrintingObserver
from benchmarks.live_service import append_result

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
FOLDS = 5
DRAWS = 1000


def chosen_in(samples: list[TrainingSample], control: str, count: int) -> np.ndarray:
    """Return which options are chosen, bool [images, options]."""
    chosen = [sample.target.extras["choices"][control] for sample in samples]
    return np.array([[k in mine for k in range(count)] for mine in chosen])


def score(chances: np.ndarray, wanted: np.ndarray, is_multiple: bool) -> dict[str, float]:
    """Return how good chances [images, options] are."""
    if is_multiple:
        found = [average_precision(chances[:, k], wanted[:, k]) for k in range(wanted.shape[1])]
        return {"choice_map": round(float(np.mean(found)), 4), **calibration(chances.ravel(), wanted.ravel())}
    best = chances.argmax(axis=1)
    right = wanted[np.arange(len(best)), best]
    return {"choice_accuracy": round(float(right.mean()), 4), **calibration(chances.max(axis=1), right)}


def calibration(scores: np.ndarray, hits: np.ndarray) -> dict[str, float]:
    """Return the error of scores [N], its mean if hits came by these chances, and how far scores flatter."""
    rng = np.random.default_rng(0)
    by_chance = [expected_calibration_error(scores, rng.random(len(scores)) < scores) for _ in range(DRAWS)]
    return {
        "calibration_error": round(expected_calibration_error(scores, hits), 4),
        "calibration_error_by_chance": round(float(np.mean(by_chance)), 4),
        "score_above_hits": round(float(scores.mean() - hits.mean()), 4),
    }


def without_curve(chances: np.ndarray, slope: float, offset: float, is_multiple: bool) -> np.ndarray:
    """Return chances [images, options] of a flat list of options as they were before a curve."""
    known = np.clip(chances, 1e-9, 1 - 1e-9)
    if is_multiple:
        return 1 / (1 + np.exp(-(np.log(known / (1 - known)) - offset) / slope))
    powers = known ** (1 / slope)
    return powers / powers.sum(axis=1, keepdims=True)


def start_features(samples: list[TrainingSample], params: TrainingParams) -> torch.Tensor:
    """Return the mean of each map of the start weights' backbone, float32 [images, channels]."""
    mean, std = normalisation_of(params.backbone)
    boxes = tuple(head for head in HEADS if head.name == "boxes")
    network = InstanceNetwork(Architecture(params.backbone, params.image_size, 1, boxes, mean=mean, std=std))
    start_from_shipped(network)
    network.eval()
    rows = []
    with torch.inference_mode():
        for sample in samples:
            image = to_training_size(sample.load_rgb(), sample.target, params.image_size).image
            height, width = (side // 32 * 32 for side in image.shape[:2])
            maps = network.backbone(network.normalise(torch.from_numpy(image[None, :height, :width].copy())))
            rows.append(torch.cat([one.mean(dim=(2, 3))[0] for one in maps]))
    return torch.stack(rows)


def regression(x: torch.Tensor, y: torch.Tensor, strength: float, is_multiple: bool) -> torch.nn.Linear:
    """Return a logistic regression with weights shrunk by `strength`; y float [N, options]."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(x.shape[1], y.shape[1])
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    loss_of = torch.nn.BCEWithLogitsLoss() if is_multiple else torch.nn.CrossEntropyLoss()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(linear(x), y) + strength * linear.weight.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return linear


def peer(
    train: list[TrainingSample],
    val: list[TrainingSample],
    wanted: tuple[np.ndarray, np.ndarray],
    params: TrainingParams,
    is_multiple: bool,
) -> dict[str, float]:
    """Return the scores of a logistic regression on the start weights' features."""
    x, x_val = start_features(train, params).clone(), start_features(val, params).clone()
    mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-6
    x, x_val = (x - mean) / deviation, (x_val - mean) / deviation
    y = torch.from_numpy(wanted[0]).float()

    def chances(linear: torch.nn.Linear, rows: torch.Tensor) -> np.ndarray:
        logits = linear(rows).detach()
        return (logits.sigmoid() if is_multiple else logits.softmax(dim=1)).numpy()

    fold = np.random.default_rng(0).permutation(len(x)) % FOLDS
    name = "choice_map" if is_multiple else "choice_accuracy"
    by_strength = []
    for strength in STRENGTHS:
        held = np.zeros(wanted[0].shape)
        for k in range(FOLDS):
            inside, outside = torch.from_numpy(fold != k), torch.from_numpy(fold == k)
            held[fold == k] = chances(regression(x[inside], y[inside], strength, is_multiple), x[outside])
        by_strength.append(score(held, wanted[0], is_multiple)[name])
    best = STRENGTHS[int(np.argmax(by_strength))]
    return score(chances(regression(x, y, best, is_multiple), x_val), wanted[1], is_multiple)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--param", action="append", default=[], help="NAME=VALUE of a training parameter")
    args = parser.parse_args()
    chosen = dict(given.split("=", 1) for given in args.param)
    values = {name: parse_parameter(name, json.loads(value)) for name, value in chosen.items()}
    params = TrainingParams(**{"pretrained": False, **values}).with_named_backbone()
    train, config = load_split(args.data / args.set, "train")
    val, _ = load_split(args.data / args.set, "val")
    ((control, asked),) = config.asked["choices"].items()
    is_multiple = asked["form"] == "multiple"
    wanted = tuple(chosen_in(side, control, len(asked["options"])) for side in (train, val))
    beside = {} if args.without_peer else peer(train, val, wanted, params, is_multiple)
    print("peer", beside, flush=True)
    for seed in (int(seed) for seed in args.seeds.split(",")):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as workdir:
            inputs = TrainingInputs(
                train, config.labels, params, Path(workdir), seed=seed, asked=config.asked
            )
            outcome = train_version(inputs, PrintingObserver())
            seconds = time.monotonic() - started
            found = load_predictor(outcome.folder).predict(
                [sample.load_rgb() for sample in val], confidence_threshold=0.01, nms_threshold=0.4
            )
        chances = np.array([one.extras["choices"][control].values for one in found])
        slope, offset = outcome.card.facts["choice_curves"].get(control, (1.0, 0.0))
        raw = without_curve(chances, slope, offset, is_multiple)
        row = {
            "set": args.set,
            "seed": seed,
            "params": {"pretrained": False, **values},
            **score(chances, wanted[1], is_multiple),
            "curve": [slope, offset],
            "without_curve": score(raw, wanted[1], is_multiple),
            "train_seconds": round(seconds, 1),
            "regression": beside,
        }
        print(row, flush=True)
        append_result("image_choices", row)


if __name__ == "__main__":
    main()
