"""Train the shipped weights of the smart tools on generated scenes, from a seed and nothing else.

    python scripts/train_prompt_weights.py --workdir /tmp/prompt-weights

Writes a checkpoint every few hundred steps and goes on from it when started again. One thread, three to
four hours; `nice` it. The same seed, step count and library versions give the same scenes and, up to
rounding, the same weights. The shipped file had a bumpier way to 21,500 steps: cut at 1,500, 1,750, 2,000,
4,500, 11,000, 15,500 and 17,750 steps and went on each time with another `--steps` (4500, 2800, 2000, 4500,
11000, 15500, 23500, 21500), so the learning rate fell and rose again; simulated detectors take neighbours
for one object, and annotators click up to six times, since step 11,000 only. A straight run is expected to
be no worse.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from backend.nn.prompts.network import PromptNetwork
from backend.nn.prompts.weights import SHIPPED_WEIGHTS, save_weights
from backend.scenes.scene import Scene, make_scene
from backend.training.prompts.annotators import MaskedObject
from backend.training.prompts.batches import SampleStream, WeightAverage, train_step

BATCH_SIZE = 16
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 200
NET_SIDE_EARLY, NET_SIDE_LATE = 128, 160
LATE_SHARE = 0.1
OBJECTS_PER_SCENE = 5
PROMPTS_PER_OBJECT = 2
SMALLEST_OBJECT_PX = 80


class SceneSeries(IterableDataset[Scene]):
    """Scenes `first`, `first` + 1, ... of a seed, made in a process of their own."""

    def __init__(self, seed: int, first: int) -> None:
        self.seed, self.first = seed, first

    def __iter__(self) -> Iterator[Scene]:
        cv2.setNumThreads(1)
        index = self.first
        while True:
            yield make_scene(self.seed, index)
            index += 1


def scene_objects(scenes: Iterator[Scene], rng: np.random.Generator) -> Iterator[MaskedObject]:
    """Yield a few objects of each scene, large enough to point at, half of the scenes mirrored."""
    for scene in scenes:
        image, owner = scene.image, scene.owner
        if rng.random() < 0.5:
            image, owner = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(owner[:, ::-1])
        areas = np.bincount(owner.ravel(), minlength=len(scene.kinds) + 1)
        numbers = [n for n in range(1, len(scene.kinds) + 1) if areas[n] >= SMALLEST_OBJECT_PX]
        chosen = rng.permutation(numbers)[:OBJECTS_PER_SCENE]
        for number in np.tile(chosen, PROMPTS_PER_OBJECT):
            kind = scene.kinds[number - 1]
            alike = [n for n in numbers if n != number and scene.kinds[n - 1] == kind]
            yield MaskedObject(image, owner == number, tuple(owner == n for n in alike))


def learning_rate_at(step: int, steps: int) -> float:
    """Return the rate of a step: linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return LEARNING_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-6


def main() -> None:
    """Train, or go on training, and write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=Path, required=True, help="checkpoints, kept between runs")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=21500)
    parser.add_argument("--out", type=Path, default=SHIPPED_WEIGHTS)
    args = parser.parse_args()
    args.workdir.mkdir(parents=True, exist_ok=True)
    checkpoint = args.workdir / "checkpoint.pt"

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    network = PromptNetwork().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    average = WeightAverage(network, decay=0.998)
    first_step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average.values, average.steps, first_step = state["average"], state["step"], state["step"]
    rng = np.random.default_rng([args.seed, first_step, 1])
    # A scene feeds several prompts of some rounds each, so this start index never repeats a scene.
    series = SceneSeries(args.seed, first=first_step * BATCH_SIZE)
    loader = DataLoader(series, batch_size=None, num_workers=1, prefetch_factor=16)
    stream = SampleStream(scene_objects(iter(loader), rng), rng, BATCH_SIZE)

    started, running = time.monotonic(), 0.0
    for step in range(first_step, args.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, args.steps)
        net_side = NET_SIDE_LATE if step >= args.steps * (1 - LATE_SHARE) else NET_SIDE_EARLY
        loss = train_step(network, optimiser, stream, net_side)
        average.update(network)
        running = loss if step == first_step else 0.98 * running + 0.02 * loss
        if (step + 1) % 50 == 0:
            pace = (step + 1 - first_step) / (time.monotonic() - started)
            print(f"step {step + 1}/{args.steps} loss {running:.3f} {pace:.2f} steps/s", flush=True)
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            partial = checkpoint.with_suffix(".partial")
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "average": average.values,
                    "step": step + 1,
                },
                partial,
            )
            partial.replace(checkpoint)
            save_weights(average.values, args.workdir / "average.safetensors")
    save_weights(average.values, args.out)


if __name__ == "__main__":
    main()
