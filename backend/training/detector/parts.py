"""Parts of training images that are cut into tiles: the window that a view shows, and what it teaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from backend.core.geometry.instances import (
    Attributes,
    ImageSize,
    MaskPatch,
    TrainingTarget,
    attributes_if_any,
)
from backend.core.geometry.masks import tight_patch
from backend.core.geometry.placement import Placement, Rect
from backend.training.detector.images import CachedImage

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Part:
    """A window of an image, by default all of it.

    shown: the window as an image of its own, whose boxes may go on beyond it. left_px, top_px: its corner.
    """

    image: CachedImage
    shown: CachedImage
    left_px: int = 0
    top_px: int = 0

    def placement_of_image(self, place: Placement) -> Placement:
        """Return where the whole image lies if the window lies at `place`, of which as much is seen."""
        if self.shown is self.image:
            return place
        size, window = self.image.size, self.shown.size
        scale_x, scale_y = place.width_px / window.width, place.height_px / window.height
        left, top = self.left_px, self.top_px
        if place.flip_x:
            left = size.width - left - window.width
        if place.flip_y:
            top = size.height - top - window.height
        return Placement(
            size,
            max(1, round(size.width * scale_x)),
            max(1, round(size.height * scale_y)),
            round(place.left_px - left * scale_x),
            round(place.top_px - top * scale_y),
            place.flip_x,
            place.flip_y,
            place.visible,
        )


def part_of(image: CachedImage, width_px: float, height_px: float, on_thing: float, rng: Rng) -> Part:
    """Return a window of about this size at a place by chance; the whole of what is not cut into tiles.

    on_thing: how likely the window is laid about a thing.
    """
    if image.tile_side_px is None:
        return Part(image, image)
    size, target = image.size, image.target
    width, height = (
        min(max(1, math.ceil(wanted)), side)
        for wanted, side in ((width_px, size.width), (height_px, size.height))
    )
    if (width, height) == (size.width, size.height):
        return Part(image, image)
    left, top = int(rng.integers(size.width - width + 1)), int(rng.integers(size.height - height + 1))
    if len(target) and rng.random() < on_thing:
        x1, y1, x2, y2 = target.boxes_xyxy_px[_thing(target, rng)].tolist()
        left, top = _about(x1, x2, width, size.width, rng), _about(y1, y2, height, size.height, rng)
    rect = (left, top, left + width, top + height)
    pixels = np.asarray(image.image[top : rect[3], left : rect[2]])
    in_tiles = max(size.width, size.height) / image.tile_side_px
    return Part(image, CachedImage(pixels, _window_of(target, rect, in_tiles)), left, top)


def _thing(target: TrainingTarget, rng: Rng) -> int:
    """Return the row of an object by chance, of rare labels more often."""
    counts = np.bincount(target.label_indices)[target.label_indices]
    weights = 1 / np.sqrt(counts)
    return int(rng.choice(len(target), p=weights / weights.sum()))


def _about(low: float, high: float, length: int, side: int, rng: Rng) -> int:
    """Return where a window of this length starts, so that it shows a thing from low to high whole.

    Of a thing that is too long for that, it shows some part.
    """
    first, last = sorted((high - length, low))
    return int(np.clip(round(rng.uniform(first, last)), 0, side - length))


def _window_of(target: TrainingTarget, rect: Rect, in_tiles: float) -> TrainingTarget:
    """Return what a window shows of a target; boxes keep what of them lies outside, masks do not.

    in_tiles: the image's longer side, in sides of a tile. A prediction knows how much of its tile a thing
    takes up, not how much of the image.
    """
    left, top, right, bottom = rect
    boxes = target.boxes_xyxy_px
    inside = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
    rows: list[int] = []
    masks: list[MaskPatch | None] = []
    for row in np.flatnonzero(inside).tolist():
        mask = target.masks[row]
        cut = None if mask is None else _cut(mask, rect)
        if mask is None or cut is not None:
            rows.append(row)
            masks.append(cut)
    turned = target.turned_boxes_px
    shift = np.array((left, top), dtype=np.float32)
    said = target.attributes_by_row
    return TrainingTarget(
        ImageSize(right - left, bottom - top),
        (boxes[rows] - np.tile(shift, 2)).astype(np.float32).reshape(-1, 4),
        target.label_indices[rows],
        tuple(masks),
        turned_boxes_px=None
        if turned is None
        else (turned[rows] - np.array((*shift, 0, 0, 0))).astype(np.float32).reshape(-1, 5),
        attributes=attributes_if_any([_in_tile(said[row], in_tiles) for row in rows]),
    )


def _in_tile(said: Attributes | None, in_tiles: float) -> Attributes | None:
    if said is None:
        return None
    width, height = said.sides
    return replace(said, sides=(width * in_tiles, height * in_tiles))


def _cut(mask: MaskPatch, rect: Rect) -> MaskPatch | None:
    height, width = mask.bits.shape
    x1, y1 = max(rect[0], mask.left_px), max(rect[1], mask.top_px)
    x2, y2 = min(rect[2], mask.left_px + width), min(rect[3], mask.top_px + height)
    if x2 <= x1 or y2 <= y1:
        return None
    bits = mask.bits[y1 - mask.top_px : y2 - mask.top_px, x1 - mask.left_px : x2 - mask.left_px]
    return tight_patch(bits, x1 - rect[0], y1 - rect[1])
