"""Views: differently cut, mixed and coloured versions of the training images. OpenCV on uint8, no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import (
    Attributes,
    FloatArray,
    ImageSize,
    MaskPatch,
    TrainingTarget,
    attributes_if_any,
)
from backend.core.geometry.letterbox import PADDING_GREY
from backend.core.geometry.masks import patch_box, patch_to_alpha
from backend.core.geometry.placement import Placement, Rect
from backend.core.geometry.turned_boxes import NOT_TURNED, rows_if_any_is_turned
from backend.nn.detector.heads.head import AnyHead
from backend.training.detector.images import CachedImage, moved_extras
from backend.training.detector.parts import Part, part_of
from backend.training.recipe import Augmentation

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class _Object:
    """A row of a view's target; its turned box [5] is NOT_TURNED for most, and attributes None."""

    box: FloatArray
    label: int
    mask: MaskPatch | None
    turned: FloatArray
    attributes: Attributes | None


@dataclass(eq=False)
class _Canvas:
    """A view in the making; parts: the images of which something was painted on it, and where they lie.

    is_altered: objects of others were pasted on it.
    """

    image: npt.NDArray[np.uint8]
    parts: list[tuple[CachedImage, Placement]] = field(default_factory=list)
    objects: list[_Object] = field(default_factory=list)
    is_altered: bool = False


def make_view(
    images: Sequence[CachedImage],
    index: int,
    size_hw: tuple[int, int],
    augmentation: Augmentation,
    rng: Rng,
    *,
    allow_mosaic: bool,
    heads: Sequence[AnyHead] = (),
) -> CachedImage:
    """Return one view of `images[index]`, possibly with parts of other images, of exactly `size_hw`.

    heads: say how what they learn beside objects follows the images.
    """
    height, width = size_hw
    canvas = _Canvas(np.full((height, width, 3), PADDING_GREY, dtype=np.uint8))
    if allow_mosaic and len(images) > 1 and rng.random() < augmentation.mosaic:
        _paint_mosaic(canvas, images, index, augmentation, rng)
    else:
        _paint(canvas, *_place_freely(images[index], size_hw, augmentation, rng), augmentation)
    if rng.random() < augmentation.copy_paste:
        _paste_objects(canvas, images, augmentation, rng)
    image = _recolour(canvas.image, augmentation, rng)
    shown = canvas.objects
    target = TrainingTarget(
        ImageSize(width, height),
        np.array([one.box for one in shown], dtype=np.float32).reshape(-1, 4),
        np.array([one.label for one in shown], dtype=np.int64),
        tuple(one.mask for one in shown),
        extras=moved_extras(canvas.parts, heads, is_altered=canvas.is_altered),
        turned_boxes_px=rows_if_any_is_turned([one.turned for one in shown]),
        attributes=attributes_if_any([one.attributes for one in shown]),
    )
    return CachedImage(image, target)


def _place_freely(
    source: CachedImage, size_hw: tuple[int, int], augmentation: Augmentation, rng: Rng
) -> tuple[Part, Placement]:
    height, width = size_hw
    # A prediction shows the longest side at the canvas's longest: zoom is relative to that.
    base = max(size_hw) / _looked_at_px(source, augmentation, rng)
    zoom = np.exp(rng.uniform(np.log(augmentation.zoom_min), np.log(augmentation.zoom_max)))
    stretch = np.exp(rng.uniform(-augmentation.stretch, augmentation.stretch))
    window_w, window_h = width / (base * zoom * stretch), height / (base * zoom / stretch)
    part = part_of(source, window_w, window_h, augmentation.tile_on_thing, rng)
    size = part.shown.size
    scaled_w = max(1, round(size.width * base * zoom * stretch))
    scaled_h = max(1, round(size.height * base * zoom / stretch))
    place = Placement(
        size,
        scaled_w,
        scaled_h,
        _random_offset(width, scaled_w, rng),
        _random_offset(height, scaled_h, rng),
        rng.random() < augmentation.flip_horizontal,
        rng.random() < augmentation.flip_vertical,
        (0, 0, width, height),
    )
    return part, place


def _looked_at_px(source: CachedImage, augmentation: Augmentation, rng: Rng) -> int:
    """Return the longer side of what a view is of: the whole image, or a tile of it."""
    is_tile = source.tile_side_px is not None and rng.random() >= augmentation.whole_view
    size = source.view_size if is_tile else source.size
    return max(size.width, size.height)


def _random_offset(room_px: int, length_px: int, rng: Rng) -> int:
    """Place a length in a room, or a room in a length, evenly."""
    low, high = min(0, room_px - length_px), max(0, room_px - length_px)
    return int(rng.integers(low, high + 1))


def _paint_mosaic(
    canvas: _Canvas, images: Sequence[CachedImage], index: int, augmentation: Augmentation, rng: Rng
) -> None:
    height, width = canvas.image.shape[:2]
    middle_x = int(width * rng.uniform(0.3, 0.7))
    middle_y = int(height * rng.uniform(0.3, 0.7))
    cells: list[Rect] = [
        (0, 0, middle_x, middle_y),
        (middle_x, 0, width, middle_y),
        (0, middle_y, middle_x, height),
        (middle_x, middle_y, width, height),
    ]
    chosen = [index, *rng.integers(0, len(images), size=3).tolist()]
    rng.shuffle(chosen)
    for cell, which in zip(cells, chosen, strict=True):
        source = images[which]
        cell_w, cell_h = cell[2] - cell[0], cell[3] - cell[1]
        view = source.view_size
        base = max(height, width) / max(view.width, view.height)
        # Small enough to show much of the image, large enough to keep objects recognisable.
        zoom = np.exp(rng.uniform(np.log(augmentation.zoom_min), np.log(1.2)))
        fill = max(cell_w / view.width, cell_h / view.height)
        scale = max(base * zoom, min(fill, base))
        part = part_of(source, cell_w / scale, cell_h / scale, augmentation.tile_on_thing, rng)
        size = part.shown.size
        scaled_w, scaled_h = max(1, round(size.width * scale)), max(1, round(size.height * scale))
        placement = Placement(
            size,
            scaled_w,
            scaled_h,
            cell[0] + _random_offset(cell_w, scaled_w, rng),
            cell[1] + _random_offset(cell_h, scaled_h, rng),
            rng.random() < augmentation.flip_horizontal,
            rng.random() < augmentation.flip_vertical,
            cell,
        )
        _paint(canvas, part, placement, augmentation)


def _paint(canvas: _Canvas, part: Part, place: Placement, augmentation: Augmentation) -> None:
    left, top, right, bottom = visible = place.visible
    if right <= left or bottom <= top:
        return
    source = part.shown
    canvas.parts.append((part.image, part.placement_of_image(place)))
    scaled = _resized(source.image, place.width_px, place.height_px)
    scaled = scaled[:: -1 if place.flip_y else 1, :: -1 if place.flip_x else 1]
    canvas.image[top:bottom, left:right] = scaled[
        top - place.top_px : bottom - place.top_px, left - place.left_px : right - place.left_px
    ]
    boxes, turned = _moved_boxes(source.target, place)
    said = _moved_attributes(source.target, place)
    for k, mask in enumerate(source.target.masks):
        _add_object(
            canvas,
            _Object(
                boxes[k],
                int(source.target.label_indices[k]),
                None if mask is None else _moved_mask(mask, place, visible),
                turned[k],
                said[k],
            ),
            mask is not None,
            visible,
            augmentation.visible_min,
        )


def _moved_boxes(target: TrainingTarget, place: Placement) -> tuple[FloatArray, FloatArray]:
    """Return the boxes [N, 4] and the turned boxes [N, 5] of an image where it is placed."""
    boxes = place.boxes_to_canvas(target.boxes_xyxy_px)
    if target.turned_boxes_px is None:
        return boxes, np.tile(NOT_TURNED, (len(target), 1))
    return boxes, place.turned_to_canvas(target.turned_boxes_px)


def _moved_attributes(target: TrainingTarget, place: Placement) -> list[Attributes | None]:
    """Return what is said of each row of an image, where it is placed."""
    return [
        one if one is None else replace(one, is_mirrored=place.is_mirrored)
        for one in target.attributes_by_row
    ]


def _add_object(
    canvas: _Canvas, whole_object: _Object, has_mask: bool, visible: Rect, visible_min: float
) -> None:
    box, mask = whole_object.box, whole_object.mask
    clipped = np.clip(box, (visible[0], visible[1]) * 2, (visible[2], visible[3]) * 2)
    # The corners of a turned box are known better than the pixels of its mask tell.
    if has_mask and mask is not None and np.isnan(whole_object.turned[0]):
        clipped = patch_box(mask)
    sides = clipped[2:] - clipped[:2]
    area = (box[2] - box[0]) * (box[3] - box[1])
    if (has_mask and mask is None) or sides.min() < 2 or sides.prod() < visible_min * area:
        return
    canvas.objects.append(replace(whole_object, box=clipped))


def _moved_mask(mask: MaskPatch, place: Placement, visible: Rect) -> MaskPatch | None:
    left, top, right, bottom = np.round(place.boxes_to_canvas(patch_box(mask)[None])[0]).astype(int)
    width, height = max(1, right - left), max(1, bottom - top)
    bits = _resized(patch_to_alpha(mask), width, height) >= 128
    bits = bits[:: -1 if place.flip_y else 1, :: -1 if place.flip_x else 1]
    return _cut(bits, left, top, visible)


def _cut(bits: npt.NDArray[np.bool_], left: int, top: int, visible: Rect) -> MaskPatch | None:
    """Return the part of a mask inside a rectangle, cut to its set pixels."""
    x1, y1 = max(visible[0], left), max(visible[1], top)
    x2, y2 = min(visible[2], left + bits.shape[1]), min(visible[3], top + bits.shape[0])
    if x2 <= x1 or y2 <= y1:
        return None
    patch = MaskPatch.from_full(bits[y1 - top : y2 - top, x1 - left : x2 - left])
    return None if patch is None else MaskPatch(x1 + patch.left_px, y1 + patch.top_px, patch.bits)


def _resized(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    if image.shape[1] == width and image.shape[0] == height:
        return image
    is_smaller = width < image.shape[1]
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)


def _paste_objects(
    canvas: _Canvas, images: Sequence[CachedImage], augmentation: Augmentation, rng: Rng
) -> None:
    """Copy a few objects with known masks from another image; needs all masks of the canvas known."""
    image = images[int(rng.integers(len(images)))]
    is_any_known = any(mask is not None for mask in image.target.masks)
    if not is_any_known or any(one.mask is None for one in canvas.objects):
        return
    height, width = canvas.image.shape[:2]
    part, place = _place_freely(image, (height, width), augmentation, rng)
    source = part.shown
    known = [k for k in source.target.first_rows.tolist() if source.target.masks[k] is not None]
    scaled = _resized(source.image, place.width_px, place.height_px)
    scaled = scaled[:: -1 if place.flip_y else 1, :: -1 if place.flip_x else 1]
    visible = place.visible
    boxes, turned = _moved_boxes(source.target, place)
    said = _moved_attributes(source.target, place)
    for k in rng.permutation(known)[: int(rng.integers(1, 4))]:
        mask = _moved_mask(source.target.masks[k], place, visible)
        # An area that fills the canvas would bury everything else.
        if mask is None or mask.area_px > 0.3 * canvas.image.shape[0] * canvas.image.shape[1]:
            continue
        rows = slice(mask.top_px, mask.top_px + mask.bits.shape[0])
        columns = slice(mask.left_px, mask.left_px + mask.bits.shape[1])
        from_rows = slice(rows.start - place.top_px, rows.stop - place.top_px)
        from_columns = slice(columns.start - place.left_px, columns.stop - place.left_px)
        # A soft edge, so that the network cannot learn the seam instead of the object.
        alpha = cv2.blur(patch_to_alpha(mask), (3, 3)).astype(np.float32)[..., None] / 255
        old = canvas.image[rows, columns].astype(np.float32)
        new = scaled[from_rows, from_columns].astype(np.float32)
        canvas.image[rows, columns] = (old + (new - old) * alpha).astype(np.uint8)
        canvas.is_altered = True
        _occlude(canvas, mask, augmentation.visible_min)
        of_object = source.target.object_of_row == source.target.object_of_row[k]
        for label in source.target.label_indices[of_object].tolist():
            pasted = _Object(boxes[k], label, mask, turned[k], said[k])
            _add_object(canvas, pasted, True, visible, augmentation.visible_min)


def _occlude(canvas: _Canvas, cover: MaskPatch, visible_min: float) -> None:
    """Take what `cover` hides away from the objects already there."""
    before = canvas.objects
    canvas.objects = []
    for one in before:
        mask = one.mask
        if mask is None:
            continue
        left, top = max(mask.left_px, cover.left_px), max(mask.top_px, cover.top_px)
        right = min(mask.left_px + mask.bits.shape[1], cover.left_px + cover.bits.shape[1])
        bottom = min(mask.top_px + mask.bits.shape[0], cover.top_px + cover.bits.shape[0])
        rest = one
        if right > left and bottom > top:
            bits = mask.bits.copy()
            bits[top - mask.top_px : bottom - mask.top_px, left - mask.left_px : right - mask.left_px] &= ~(
                cover.bits[
                    top - cover.top_px : bottom - cover.top_px, left - cover.left_px : right - cover.left_px
                ]
            )
            whole = (mask.left_px, mask.top_px, mask.left_px + bits.shape[1], mask.top_px + bits.shape[0])
            cut = _cut(bits, mask.left_px, mask.top_px, whole)
            if cut is None or cut.area_px < visible_min * mask.area_px:
                continue
            rest = replace(one, box=patch_box(cut), mask=cut)
        canvas.objects.append(rest)


def _recolour(image: npt.NDArray[np.uint8], augmentation: Augmentation, rng: Rng) -> npt.NDArray[np.uint8]:
    gain = 1 + rng.uniform(-augmentation.contrast, augmentation.contrast)
    shift = 128 * rng.uniform(-augmentation.brightness, augmentation.brightness)
    ramp = np.arange(256, dtype=np.float32)
    # Contrast about the middle, so that it does not brighten as well.
    table = np.clip((ramp - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table), dtype=np.uint8)
    if augmentation.saturation or augmentation.hue_degrees:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        turn = rng.uniform(-augmentation.hue_degrees, augmentation.hue_degrees) / 2
        gain = 1 + rng.uniform(-augmentation.saturation, augmentation.saturation)
        tables = np.stack([(ramp + turn) % 180, np.clip(ramp * gain, 0, 255), ramp], axis=-1).astype(np.uint8)
        recoloured = cv2.cvtColor(cv2.LUT(hsv, tables[None]), cv2.COLOR_HSV2RGB)
        image = np.asarray(recoloured, dtype=np.uint8)
    if rng.random() < augmentation.blur:
        image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0), dtype=np.uint8)
    return image
