"""From images to batches: which views make up an epoch, built ahead of the network in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from backend.core.geometry.instances import FloatArray, MaskPatch
from backend.nn.detector.heads.boxes.losses import IGNORED
from backend.nn.detector.heads.masks.module import MASK_STRIDE, OBJECT_MASK_SIDE, WINDOW_SCALE
from backend.nn.detector.network import BatchTargets
from backend.training.detector.images import CachedImage, mask_of
from backend.training.detector.schedule import SIZE_STEP_PX, longest_side_px
from backend.training.detector.views import View, make_view
from backend.training.recipe import Augmentation, Recipe

BUILDING_THREADS = 2
BATCHES_AHEAD = 3
# Object masks per batch: a slide full of cells must not cost more than the rest of the step.
WINDOWS_PER_BATCH = 96


@dataclass(frozen=True)
class Batch:
    """images uint8 [N, H, W, 3] and what they teach."""

    images: torch.Tensor
    targets: BatchTargets


@dataclass(frozen=True)
class BatchPlan:
    """What one batch will show: positions in the image list, the canvas, and the seed of its randomness."""

    indices: tuple[int, ...]
    size_hw: tuple[int, int]
    seed: tuple[int, ...]
    allow_mosaic: bool


def plan_epoch(
    images: Sequence[CachedImage],
    recipe: Recipe,
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
    order = _draw(len(images), recipe.images_per_epoch, sampling_weights, rng)
    if not is_square:
        order = _group_by_shape(order, images, batch_size, rng)
    groups = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    # One leftover image would make a step of pure noise; it joins the batch before.
    if len(groups) > 1 and len(groups[-1]) * 2 < batch_size:
        rest = groups.pop()
        groups[-1] = [*groups[-1], *rest][:batch_size]
    rng.shuffle(groups)
    plans = []
    for number, group in enumerate(groups):
        progress = (epoch + number / len(groups)) / recipe.epochs
        side = recipe.image_size_px if is_square else longest_side_px(progress, recipe)
        plans.append(
            BatchPlan(
                indices=tuple(int(i) for i in group),
                size_hw=(side, side) if is_square else _canvas_hw([images[i] for i in group], side),
                seed=(seed, epoch, number),
                allow_mosaic=progress < recipe.mosaic_until,
            )
        )
    return plans


def build_batch(
    images: Sequence[CachedImage],
    plan: BatchPlan,
    augmentation: Augmentation,
    label_count: int,
    *,
    has_masks: bool,
) -> Batch:
    """Return the batch of a plan."""
    rng = np.random.default_rng(plan.seed)
    views = [
        make_view(images, i, plan.size_hw, augmentation, rng, allow_mosaic=plan.allow_mosaic)
        for i in plan.indices
    ]
    return collate(views, label_count, rng, has_masks=has_masks)


def collate(views: Sequence[View], label_count: int, rng: np.random.Generator, *, has_masks: bool) -> Batch:
    """Stack views of one size and turn their objects into targets."""
    images = torch.from_numpy(np.stack([view.image for view in views]))
    boxes = [torch.from_numpy(view.boxes_xyxy_px) for view in views]
    labels = [torch.from_numpy(view.label_indices) for view in views]
    if not has_masks:
        return Batch(images, BatchTargets(boxes, labels))
    windows, window_labels, window_masks = [], [], []
    for view in views:
        known = {k: mask for k, mask in enumerate(view.masks) if mask is not None}
        mine = list(known)
        if len(mine) > WINDOWS_PER_BATCH // len(views):
            mine = rng.permutation(mine)[: WINDOWS_PER_BATCH // len(views)].tolist()
        rects = [_jittered_window(view.boxes_xyxy_px[k], rng) for k in mine]
        windows.append(torch.tensor(rects, dtype=torch.float32).reshape(-1, 4))
        window_labels.append(torch.from_numpy(view.label_indices[mine].reshape(-1)))
        window_masks += [_mask_in_window(known[k], rect) for k, rect in zip(mine, rects, strict=True)]
    side = OBJECT_MASK_SIDE
    stacked = np.stack(window_masks) if window_masks else np.zeros((0, side, side), dtype=np.float32)
    semantic = np.stack([semantic_target(view, label_count) for view in views])
    targets = BatchTargets(
        boxes, labels, windows, window_labels, torch.from_numpy(stacked), torch.from_numpy(semantic)
    )
    return Batch(images, targets)


def semantic_target(view: View, label_count: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [L, H / 4, W / 4]: 1 where at least half a cell is labelled, IGNORED inside boxes whose
    shape is unknown, else 0.
    """
    height, width = view.image.shape[:2]
    small = (width // MASK_STRIDE, height // MASK_STRIDE)
    out = np.zeros((label_count, small[1], small[0]), dtype=np.uint8)
    for label in np.unique(view.label_indices):
        mine = np.flatnonzero(view.label_indices == label)
        for k in mine:
            if view.masks[k] is None:
                x1, y1, x2, y2 = np.round(view.boxes_xyxy_px[k] / MASK_STRIDE).astype(int)
                out[label, max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = IGNORED
        known = [view.masks[k] for k in mine if view.masks[k] is not None]
        if known:
            union = np.zeros((height, width), dtype=np.uint8)
            for mask in known:
                rows, columns = mask.bits.shape
                union[mask.top_px : mask.top_px + rows, mask.left_px : mask.left_px + columns] |= mask_of(
                    mask
                )
            out[label][cv2.resize(union, small, interpolation=cv2.INTER_AREA) >= 128] = 1
    return out


class BatchLoader:
    """Builds the batches of a plan ahead of their use, in order."""

    def __init__(
        self,
        images: Sequence[CachedImage],
        augmentation: Augmentation,
        label_count: int,
        *,
        has_masks: bool,
    ) -> None:
        """Serve views of these images."""
        self._images = images
        self._augmentation = augmentation
        self._label_count = label_count
        self._has_masks = has_masks

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
        return build_batch(
            self._images, plan, self._augmentation, self._label_count, has_masks=self._has_masks
        )


def sampling_weights(images: Sequence[CachedImage], label_count: int) -> FloatArray:
    """Return how often each image is wanted, float32 [N], mean 1: more for labels that few images show.

    Source: repeat factors of LVIS, arXiv 1908.03195, appendix; the square root of the label's rarity.
    """
    shows = np.zeros((len(images), label_count), dtype=np.bool_)
    for row, image in zip(shows, images, strict=True):
        row[image.target.label_indices] = True
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


def _group_by_shape(
    order: list[int], images: Sequence[CachedImage], batch_size: int, rng: np.random.Generator
) -> list[int]:
    """Put images of like shape into one batch, within chunks of a few batches, so that little is cut off."""
    chunk = batch_size * 6
    out: list[int] = []
    for start in range(0, len(order), chunk):
        part = order[start : start + chunk]
        out += sorted(part, key=lambda i: images[i].size.width / images[i].size.height)
    return out


def _canvas_hw(group: Sequence[CachedImage], longest_px: int) -> tuple[int, int]:
    """Return the canvas for a batch: the longest side as asked, the other by the group's usual shape."""
    ratio = float(np.exp(np.median([np.log(image.size.width / image.size.height) for image in group])))
    shorter = longest_px / max(ratio, 1 / ratio)
    shorter_px = max(2, int(np.ceil(shorter / SIZE_STEP_PX - 0.25))) * SIZE_STEP_PX
    shorter_px = min(shorter_px, longest_px)
    return (shorter_px, longest_px) if ratio >= 1 else (longest_px, shorter_px)


def _jittered_window(box_xyxy_px: FloatArray, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return a window about a box as a detector might find it: off by some, whole pixels."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    width, height = x2 - x1, y2 - y1
    centre_x = (x1 + x2) / 2 + width * 0.06 * rng.standard_normal()
    centre_y = (y1 + y2) / 2 + height * 0.06 * rng.standard_normal()
    half_w = width / 2 * WINDOW_SCALE * np.exp(0.12 * rng.standard_normal())
    half_h = height / 2 * WINDOW_SCALE * np.exp(0.12 * rng.standard_normal())
    left, top = round(centre_x - half_w), round(centre_y - half_h)
    return left, top, max(left + 1, round(centre_x + half_w)), max(top + 1, round(centre_y + half_h))


def _mask_in_window(mask: MaskPatch, window: tuple[int, int, int, int]) -> FloatArray:
    """Return how much of each of 28 x 28 cells of a window a mask covers, float32 0..1."""
    left, top, right, bottom = window
    crop = np.zeros((bottom - top, right - left), dtype=np.uint8)
    x1, y1 = max(left, mask.left_px), max(top, mask.top_px)
    x2 = min(right, mask.left_px + mask.bits.shape[1])
    y2 = min(bottom, mask.top_px + mask.bits.shape[0])
    if x2 > x1 and y2 > y1:
        bits = mask.bits[y1 - mask.top_px : y2 - mask.top_px, x1 - mask.left_px : x2 - mask.left_px]
        crop[y1 - top : y2 - top, x1 - left : x2 - left] = bits.astype(np.uint8) * 255
    side = OBJECT_MASK_SIDE
    is_smaller = crop.shape[0] > side or crop.shape[1] > side
    resized = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32) / np.float32(255)
