"""The training images: decoded once, kept at training size, in memory as long as they fit."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.evaluation.judged import PageSource
from backend.core.geometry.instances import (
    FloatArray,
    ImageSize,
    IntArray,
    TrainingTarget,
    attributes_if_any,
)
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.placement import Placement, whole
from backend.core.geometry.points import points_of
from backend.core.geometry.tiling import Tiling
from backend.errors import FetchError
from backend.nn.detector.heads.head import AnyHead, Piece
from backend.nn.runtime.memory import LARGE_PICTURE_PIXELS, give_back_freed_memory
from backend.pixel_room import PixelRoom
from backend.training.inputs import TrainingSample
from backend.training.tiles import WHOLE, TilesDecision

logger = logging.getLogger(__name__)

MEMORY_LIMIT_BYTES = 1 << 30
LOADING_THREADS = 4


@dataclass(frozen=True, eq=False)
class CachedImage:
    """One image at training size with what it teaches, in that image's own pixels.

    image uint8 [h, w, 3], possibly a memory map. target.size is the size of `image`. tile_side_px: of the
    tiles into which the image is cut; None where it is looked at as a whole. source: None of views, which no
    task shows. too_small: objects of which nothing is left at this size. too_thin: objects that keep their
    box, and of whose mask nothing is left.
    """

    image: npt.NDArray[np.uint8]
    target: TrainingTarget
    tile_side_px: float | None = None
    source: PageSource | None = None
    too_small: int = 0
    too_thin: int = 0

    @property
    def size(self) -> ImageSize:
        """Width and height of `image`."""
        return self.target.size

    @property
    def view_size(self) -> ImageSize:
        """The size of what is looked at: the image, or a tile of it."""
        if self.tile_side_px is None:
            return self.size
        side = max(1, round(self.tile_side_px))
        return ImageSize(min(side, self.size.width), min(side, self.size.height))


@dataclass(frozen=True)
class LoadedImages:
    """What could be read: images, their task ids in the same order, and a sentence per failure.

    tiles: how they are cut. too_small, too_thin: as in `CachedImage`, of all images together.
    """

    images: list[CachedImage]
    task_ids: list[int]
    failures: list[str]
    tiles: TilesDecision = WHOLE
    too_small: int = 0
    too_thin: int = 0


def load_images(
    samples: Sequence[TrainingSample],
    longest_side_px: int,
    folder: Path,
    *,
    tiles: TilesDecision = WHOLE,
    should_stop: Callable[[], bool] = lambda: False,
    on_image: Callable[[int, int], None] = lambda done, total: None,
    heads: Sequence[AnyHead] = (),
) -> LoadedImages:
    """Read every sample, shrink or enlarge it to `longest_side_px`, keep what exceeds memory in `folder`.

    tiles: where images are cut, a tile is brought to `longest_side_px`, and the image by as much.
    on_image: told after each image how many of how many are done. heads: as in `to_training_size`.
    Pictures are read side by side as far as their pixels have room in memory, a large one alone.
    """
    room = PixelRoom()

    def read(sample: TrainingSample) -> CachedImage:
        rgb = sample.load_rgb()
        source = PageSource(sample.task_id, sample.page, ImageSize(rgb.shape[1], rgb.shape[0]))
        if tiles.tiling is None:
            cached = to_training_size(rgb, sample.target, longest_side_px, heads)
        else:
            cached = _to_size_of_tiles(rgb, sample.target, tiles.tiling, longest_side_px, heads)
        return replace(cached, source=source)

    def load(sample: TrainingSample) -> CachedImage | str:
        pixels = sample.target.size.width * sample.target.size.height
        try:
            with room.taken(pixels):
                if should_stop():
                    return "stopped"
                cached = read(sample)
                if pixels >= LARGE_PICTURE_PIXELS:
                    give_back_freed_memory()
                return cached
        except FetchError as exc:
            logger.warning("task %d: image left out of the training: %s", sample.task_id, exc)
            return f"task {sample.task_id}: {exc}"

    images: list[CachedImage] = []
    task_ids: list[int] = []
    failures: list[str] = []
    used_bytes = too_small = too_thin = 0
    with ThreadPoolExecutor(max_workers=LOADING_THREADS) as pool:
        for number, (sample, loaded) in enumerate(zip(samples, pool.map(load, samples), strict=True), 1):
            on_image(number, len(samples))
            if isinstance(loaded, str):
                failures.append(loaded)
                continue
            too_small += loaded.too_small
            too_thin += loaded.too_thin
            used_bytes += loaded.image.nbytes
            if used_bytes > MEMORY_LIMIT_BYTES:
                loaded = _moved_to_disk(loaded, folder / f"image-{len(images)}.npy")
                used_bytes -= loaded.image.nbytes
            images.append(loaded)
            task_ids.append(sample.task_id)
    return LoadedImages(images, task_ids, failures, tiles, too_small, too_thin)


def to_training_size(
    image: npt.NDArray[np.uint8],
    target: TrainingTarget,
    longest_side_px: int,
    heads: Sequence[AnyHead] = (),
) -> CachedImage:
    """Return an image and its target with the longer side at `longest_side_px`.

    The target may have been drawn on another size of the same image (Label Studio stores its own idea of the
    size); both are brought to the same pixels. heads: say how what they learn beside objects follows.
    """
    height, width = image.shape[:2]
    scale = longest_side_px / max(height, width)
    inner = ImageSize(max(1, round(width * scale)), max(1, round(height * scale)))
    image_box = Letterbox(ImageSize(width, height), inner, inner)
    target_box = Letterbox(target.size, inner, inner)
    limit = np.array((inner.width, inner.height) * 2, dtype=np.float32)
    boxes = np.clip(target_box.boxes_to_net(target.boxes_xyxy_px), 0, limit)
    masks = [None if patch is None else target_box.patch_to_net(patch) for patch in target.masks]
    turned = None if target.turned_boxes_px is None else target_box.turned_to_net(target.turned_boxes_px)
    keep = (boxes[:, 2] - boxes[:, 0] >= 0.5) & (boxes[:, 3] - boxes[:, 1] >= 0.5)
    moved = TrainingTarget(
        size=inner,
        boxes_xyxy_px=boxes[keep].astype(np.float32),
        label_indices=target.label_indices[keep],
        masks=tuple(mask for mask, kept in zip(masks, keep, strict=True) if kept),
        extras=moved_extras([(CachedImage(image, target), whole(target.size, inner))], heads),
        turned_boxes_px=None if turned is None else turned[keep],
        attributes=attributes_if_any(list(itertools.compress(target.attributes, keep))),
    )
    first = target.first_rows.tolist()
    return CachedImage(
        image_box.image_to_net(image),
        moved,
        too_small=sum(not keep[row] for row in first),
        too_thin=sum(
            bool(keep[row]) and masks[row] is None and target.masks[row] is not None for row in first
        ),
    )


def _to_size_of_tiles(
    image: npt.NDArray[np.uint8],
    target: TrainingTarget,
    tiling: Tiling,
    longest_side_px: int,
    heads: Sequence[AnyHead],
) -> CachedImage:
    # The labels' frame decides, not the file's: in it the tiles were chosen.
    size = target.size
    longest = max(1, round(max(size.width, size.height) * tiling.kept_scale(size, longest_side_px)))
    kept = to_training_size(image, target, longest, heads)
    tiling = tiling.when_kept(longest_side_px)
    return replace(kept, tile_side_px=tiling.side_of(kept.size)) if tiling.cuts(kept.size) else kept


def count_labels(images: Sequence[CachedImage], label_count: int) -> IntArray:
    """Return how many objects and points each label has, int64 [L]."""
    counts = np.zeros(label_count, dtype=np.int64)
    for image in images:
        counts += np.bincount(image.target.label_indices, minlength=label_count)
        points = [point.label_index for point in points_of(image.target)]
        counts += np.bincount(np.array(points, dtype=np.int64), minlength=label_count)
    return counts


def most_labelled(targets: Sequence[TrainingTarget]) -> int:
    """Return how many objects or points the fullest image shows."""
    return max((max(target.object_count, len(points_of(target))) for target in targets), default=0)


def shown_by(image: CachedImage, heads: Sequence[AnyHead]) -> frozenset[Hashable]:
    """Return the labels of an image, and what else it teaches the heads."""
    labels: frozenset[Hashable] = frozenset(image.target.label_indices.tolist())
    return labels.union((head.name, one) for head in heads for one in head.shown(image.target))


def label_weights(counts: IntArray, weight_max: float) -> FloatArray:
    """Return a weight per label, float32 [L]: 1 for the commonest, more for rare ones, up to weight_max."""
    common = max(int(counts.max(initial=0)), 1)
    weights = np.sqrt(common / np.maximum(counts, 1))
    return np.clip(weights, 1.0, weight_max).astype(np.float32)


def moved_extras(
    parts: Sequence[tuple[CachedImage, Placement]], heads: Sequence[AnyHead], *, is_altered: bool = False
) -> dict[str, Any]:
    """Return what an image made of parts of images teaches beside objects, by the name of the head.

    is_altered: objects of others were pasted into it.
    """
    return {
        head.name: head.view_extra(
            [Piece(image.target.extras.get(head.name), place, is_altered) for image, place in parts]
        )
        for head in heads
        if any(head.name in image.target.extras for image, _ in parts)
    }


def _moved_to_disk(cached: CachedImage, path: Path) -> CachedImage:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, cached.image)
    return replace(cached, image=np.load(path, mmap_mode="r"))
