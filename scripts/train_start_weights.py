"""Train the start weights of the detector on generated scenes, from a seed and nothing else.

    python scripts/train_start_weights.py --workdir /tmp/start-weights

The same loop, recipe and views as a user's training, on drawn scenes in place of photographs and with the
kinds of drawn things as labels; only the rate falls to a hundredth, as it did for the file that is shipped.
Goes on from its last epoch when started again. An hour on two cores; the same seed and library versions give
the same scenes and, up to rounding, the same weights.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from backend.core.geometry.instances import ImageSize, MaskPatch, TrainingTarget
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.backbone import normalisation_of
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.runtime.packed_weights import save_packed
from backend.nn.runtime.precision import is_bf16_faster
from backend.scenes.objects import KINDS
from backend.scenes.scene import make_scene
from backend.training.detector.checkpoint import load_state
from backend.training.detector.images import CachedImage, count_labels, label_weights
from backend.training.detector.loop import LearningData, TrainingLoop
from backend.training.detector.start_weights import SHIPPED_START
from backend.training.inputs import EpochReport
from backend.training.parameters import TrainingParams
from backend.training.recipe import Recipe, plan_training

SCENES = 10000
HELD_OUT_SCENES = 100
EPOCHS = 5
BATCH_SIZE = 8
IMAGE_SIZE_PX = 192
FINAL_RATE = 0.01
# Fewer pixels than this cannot be told from dirt.
SMALLEST_OBJECT_PX = 60


class PrintingObserver:
    """Prints an epoch's report and never stops the training."""

    def on_epoch(self, report: EpochReport) -> None:
        """Print the epoch, its loss and what the held-out scenes say."""
        found = {name: round(value, 3) for name, value in report.metrics.items()}
        clock = time.strftime("%H:%M:%S")
        print(f"{clock} epoch {report.epoch}/{report.epochs} loss {report.loss:.3f} {found}", flush=True)

    def on_judging(self) -> None:
        """Take that the training is over; nothing is printed."""

    def on_warning(self, message: str) -> None:
        """Print a warning."""
        print("WARNING", message, flush=True)

    def stop_requested(self) -> str | None:
        """Return None: nobody stops this training but the user's keyboard, and it goes on from there."""
        return None


def scene_image(seed: int, index: int) -> CachedImage:
    """Return scene `index` of a seed with its visible objects as targets."""
    cv2.setNumThreads(1)
    scene = make_scene(seed, index)
    height, width = scene.owner.shape
    boxes, labels, masks = [], [], []
    for number, kind in enumerate(scene.kinds, start=1):
        patch = MaskPatch.from_full(scene.mask(number))
        if patch is None or patch.area_px < SMALLEST_OBJECT_PX:
            continue
        rows, columns = patch.bits.shape
        boxes.append((patch.left_px, patch.top_px, patch.left_px + columns, patch.top_px + rows))
        labels.append(KINDS.index(kind))
        masks.append(patch)
    target = TrainingTarget(
        size=ImageSize(width, height),
        boxes_xyxy_px=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        label_indices=np.asarray(labels, dtype=np.int64),
        masks=tuple(masks),
    )
    return CachedImage(scene.image, target)


def main() -> None:
    """Train, or go on training, and write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=Path, required=True, help="checkpoints, kept between runs")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=SHIPPED_START.path)
    args = parser.parse_args()
    args.workdir.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    with ProcessPoolExecutor() as pool:
        numbers = range(args.scenes + HELD_OUT_SCENES)
        images = list(pool.map(partial(scene_image, args.seed), numbers, chunksize=50))
    print(f"{len(images)} scenes drawn", flush=True)
    training, held_out = images[: args.scenes], images[args.scenes :]
    params = TrainingParams(
        epochs=args.epochs, batch_size=BATCH_SIZE, image_size=IMAGE_SIZE_PX, pretrained=False
    )
    recipe = Recipe(patience_share=1.0)
    plan = replace(plan_training(params, len(training), recipe, starts_trained=False), final_rate=FINAL_RATE)
    mean, std = normalisation_of(params.backbone)
    network = InstanceNetwork(
        Architecture(params.backbone, IMAGE_SIZE_PX, len(KINDS), (BOXES, MASKS), mean=mean, std=std)
    )
    data = LearningData(
        training=training,
        held_out=held_out,
        label_weights=label_weights(count_labels(training, len(KINDS)), recipe.label_weight_max),
        sampling_weights=np.ones(len(training), dtype=np.float32),
    )
    fingerprint = f"start weights, seed {args.seed}, {args.scenes} scenes, {args.epochs} epochs"
    loop = TrainingLoop(
        network,
        KINDS,
        data,
        plan,
        PrintingObserver(),
        device=args.device,
        use_bf16=is_bf16_faster(args.device),
        seed=args.seed,
        checkpoint_folder=args.workdir,
        fingerprint=fingerprint,
    )
    state = load_state(args.workdir, fingerprint)
    if state is not None:
        loop.resume(state)
    result = loop.run()
    save_packed(result.best_weights, args.out)


if __name__ == "__main__":
    main()
