"""From images to batches: which views make up an epoch, built ahead of the network in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from backend.core.geometry.instances import FloatArray
from backend.nn.detector.heads.head import AnyHead, HeadTargets
from backend.training.detector.images import CachedImage, shown_by
from backend.training.detector.schedule import SIZE_STEP_PX, longest_side_px
from backend.training.detector.views import make_view
from backend.training.recipe import Augmentation, Plan

BUILDING_THREADS = 2
BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Batch:
    """images uint8 [N, H, W, 3] and what they teach each head, by its name."""

    images: torch.Tensor
    targets: Mapping[str, HeadTargets]


@dataclass(frozen=True)
class BatchPlan:
    """What one batch will show: positions in the image list, the canvas, and the seed of its randomness."""

    indices: tuple[int, ...]
    size_hw: tuple[int, int]
    seed: tuple[int, ...]
    allow_mosaic: bool


def plan_epoch(
    images: Sequence[CachedImage],
    plan: Plan,
    *,
    epoch: int,
    seed: int,
    batch_size: int,
    is_square: bool,
    sampling_weights: FloatArray,
) -> list[BatchPlan]:
    """Return the batches of one epoch; the same for the same arguments, so that a resumed epoch repeats.

    sampling_weights [N]: how much more often than once an image is wanted, mean 1.
    """
    rng = np.random.default_rng((seed, epoch))
    order = _draw(len(images), plan.images_per_epoch, sampling_weights, rng)
    if not is_square:
        order = _group_by_shape(order, images, batch_size)
    groups = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    # One leftover image would make a step of pure noise, so it shares what the last full batch has. Dropped,
    # it would always be the widest one where an epoch is not much larger than a batch.
    if len(groups) > 1 and len(groups[-1]) * 2 < batch_size:
        last = [*groups[-2], *groups[-1]]
        middle = len(last) - len(last) // 2
        groups[-2:] = [last[:middle], last[middle:]]
    rng.shuffle(groups)
    plans = []
    for number, group in enumerate(groups):
        progress = (epoch + number / len(groups)) / plan.epochs
        side = plan.image_size_px if is_square else longest_side_px(progress, plan)
        plans.append(
            BatchPlan(
                indices=tuple(int(i) for i in group),
                size_hw=(side, side) if is_square else _canvas_hw([images[i] for i in group], side),
                seed=(seed, epoch, number),
                allow_mosaic=progress < plan.recipe.mosaic_until,
            )
        )
    return plans


def build_batch(
    images: Sequence[CachedImage],
    plan: BatchPlan,
    augmentation: Augmentation,
    label_count: int,
    heads: Sequence[AnyHead],
) -> Batch:
    """Return the batch of a plan."""
    rng = np.random.default_rng(plan.seed)
    allow_mosaic = plan.allow_mosaic and any(head.gains_by_mosaics for head in heads)
    views = [
        make_view(images, i, plan.size_hw, augmentation, rng, allow_mosaic=allow_mosaic, heads=heads)
        for i in plan.indices
    ]
    shown = [view.target for view in views]
    targets = {head.name: head.targets(shown, label_count, rng) for head in heads}
    return Batch(torch.from_numpy(np.stack([view.image for view in views])), targets)


class BatchLoader:
    """Builds the batches of a plan ahead of their use, in order."""

    def __init__(
        self,
        images: Sequence[CachedImage],
        augmentation: Augmentation,
        label_count: int,
        heads: Sequence[AnyHead],
    ) -> None:
        """Serve views of these images, and what they teach the heads."""
        self._images = images
        self._augmentation = augmentation
        self._label_count = label_count
        self._heads = heads

    def batches(self, plans: Sequence[BatchPlan]) -> Generator[Batch, None, None]:
        """Yield one batch per plan; at most BATCHES_AHEAD wait."""
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(max_workers=BUILDING_THREADS, thread_name_prefix="views") as pool:
            try:
                for plan in plans:
                    waiting.append(pool.submit(self._build, plan))
                    if len(waiting) > BATCHES_AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _build(self, plan: BatchPlan) -> Batch:
        return build_batch(self._images, plan, self._augmentation, self._label_count, self._heads)


def sampling_weights(images: Sequence[CachedImage], heads: Sequence[AnyHead] = ()) -> FloatArray:
    """Return how often each image is wanted, float32 [N], mean 1: more for what few images show.

    heads: say what images show beside labels.

    Source: repeat factors of LVIS, arXiv 1908.03195, appendix; the square root of the label's rarity.
    """
    shown = [shown_by(image, heads) for image in images]
    things = {thing: column for column, thing in enumerate(frozenset().union(*shown))}
    shows = np.zeros((len(images), len(things)), dtype=np.bool_)
    for row, mine in zip(shows, shown, strict=True):
        row[[things[thing] for thing in mine]] = True
    share = shows.mean(axis=0)
    factor = np.sqrt(np.clip(0.3 / np.maximum(share, 1e-6), 1.0, 4.0))
    weights = np.array([factor[row].max() if row.any() else 1.0 for row in shows], dtype=np.float32)
    return weights / weights.mean()


def _draw(count: int, wanted: int, weights: FloatArray, rng: np.random.Generator) -> list[int]:
    """Return `wanted` positions, each about wanted / count * weight times: whole parts, rest by chance."""
    expected = weights * (wanted / count)
    times = np.floor(expected).astype(int)
    missing = wanted - int(times.sum())
    if missing > 0:
        rest = expected - times + 1e-9
        times += np.bincount(
            rng.choice(count, size=min(missing, count), replace=False, p=rest / rest.sum()), minlength=count
        )
    order = np.repeat(np.arange(count), times)
    rng.shuffle(order)
    return order.tolist()


def _group_by_shape(order: list[int], images: Sequence[CachedImage], batch_size: int) -> list[int]:
    """Put images of like shape into one batch, within chunks of a few batches, so that little is cut off."""
    chunk = batch_size * 6
    out: list[int] = []
    for start in range(0, len(order), chunk):
        part = order[start : start + chunk]
        out += sorted(part, key=lambda i: images[i].view_size.width / images[i].view_size.height)
    return out


def _canvas_hw(group: Sequence[CachedImage], longest_px: int) -> tuple[int, int]:
    """Return the canvas for a batch: the longest side as asked, the other by the group's usual shape."""
    sizes = [image.view_size for image in group]
    ratio = float(np.exp(np.median([np.log(size.width / size.height) for size in sizes])))
    shorter = longest_px / max(ratio, 1 / ratio)
    shorter_px = max(2, int(np.ceil(shorter / SIZE_STEP_PX - 0.25))) * SIZE_STEP_PX
    shorter_px = min(shorter_px, longest_px)
    return (shorter_px, longest_px) if ratio >= 1 else (longest_px, shorter_px)
