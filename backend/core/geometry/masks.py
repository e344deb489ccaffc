"""Binary masks: cutting to a window, joining, resizing, removing specks and small holes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, MaskPatch

# A part below SPECK_SHARE of the object's largest part is a speck, a hole below HOLE_SHARE of it a pinhole;
# so is whatever has fewer pixels than MIN_PART_PX.
SPECK_SHARE = 0.05
HOLE_SHARE = 0.01
MIN_PART_PX = 6


def tight_patch(bits: BoolArray, left_px: int, top_px: int) -> MaskPatch | None:
    """Return a window, bool [h, w], cut to its set pixels; None where none is set."""
    patch = MaskPatch.from_full(bits)
    if patch is None:
        return None
    return MaskPatch(left_px + patch.left_px, top_px + patch.top_px, patch.bits)


def patch_box(patch: MaskPatch) -> FloatArray:
    """Return the window of a patch as a box, float32 [4]; for a tight patch the box of its pixels."""
    height, width = patch.bits.shape
    return np.array(
        [patch.left_px, patch.top_px, patch.left_px + width, patch.top_px + height], dtype=np.float32
    )


def deepest_pixel(patch: MaskPatch) -> tuple[int, int]:
    """Return (x, y) of the set pixel that lies deepest inside a patch, in the image's frame."""
    depth = cv2.distanceTransform(np.pad(patch.bits.astype(np.uint8), 1), cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(column) - 1 + patch.left_px, int(row) - 1 + patch.top_px


def join_patches(patches: Sequence[MaskPatch]) -> MaskPatch:
    """Return the union of one or more patches, in the smallest window that holds theirs."""
    boxes = np.stack([patch_box(patch) for patch in patches]).astype(int)
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    bits = np.zeros((bottom - top, right - left), dtype=np.bool_)
    for patch, (x1, y1, x2, y2) in zip(patches, boxes.tolist(), strict=True):
        bits[y1 - top : y2 - top, x1 - left : x2 - left] |= patch.bits
    return MaskPatch(left, top, bits)


def alpha_to_mask(alpha: npt.NDArray[np.uint8], size: ImageSize) -> BoolArray:
    """Return bool [size.height, size.width] of a soft mask, uint8 [h, w], resized if its size is another.

    Set is what reaches half of the mask's own greatest alpha: on the soft rim of a stroke those are the
    pixels at least half covered, so the outline is not widened; a stroke translucent all over stays whole.
    """
    strongest = int(alpha.max(initial=0))
    if strongest == 0:
        return np.zeros((size.height, size.width), dtype=np.bool_)
    if alpha.shape != (size.height, size.width):
        is_smaller = size.width < alpha.shape[1]
        resized = cv2.resize(
            alpha, (size.width, size.height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        )
        alpha = np.asarray(resized, dtype=np.uint8)
    mask: BoolArray = alpha >= (strongest + 1) // 2
    return mask


def clean_patch(patch: MaskPatch) -> MaskPatch | None:
    """Return a patch without specks and pinholes, cut to what is left; None for an empty one.

    The largest part always stays, however small it is.
    """
    part_count = count_parts(patch.bits)
    if part_count == 0:
        return None
    if part_count == 1 and not _has_holes(patch.bits):
        return tight_patch(patch.bits, patch.left_px, patch.top_px)
    parts, areas = _parts(patch.bits, connectivity=8)
    areas[0] = 0
    largest = int(areas.max())
    is_kept = areas >= max(MIN_PART_PX, SPECK_SHARE * largest)
    is_kept[int(areas.argmax())] = True
    bits = is_kept[parts]
    gaps, gap_areas = _parts(np.pad(~bits, 1, constant_values=True), connectivity=4)
    is_open = gap_areas >= max(MIN_PART_PX, HOLE_SHARE * largest)
    is_open[0], is_open[gaps[0, 0]] = False, True
    return tight_patch(~is_open[gaps][1:-1, 1:-1], patch.left_px, patch.top_px)


def count_parts(bits: BoolArray) -> int:
    """Return how many parts a mask has that touch nowhere, not even at a corner.

    Counting alone takes a third of the time of measuring each part, and most masks have one.
    """
    return int(cv2.connectedComponents(_as_uint8(bits), connectivity=8)[0]) - 1


def connected_parts(bits: BoolArray) -> list[MaskPatch]:
    """Return the parts of a mask [h, w] that touch nowhere, not even at a corner, each cut to its pixels."""
    count, number_of, stats, _ = cv2.connectedComponentsWithStats(_as_uint8(bits), connectivity=8)
    parts = []
    for number in range(1, count):
        left, top, width, height = stats[number, : cv2.CC_STAT_AREA].tolist()
        # Its own window alone: hundreds of parts, each looked for in the whole image, take seconds.
        window = np.asarray(number_of[top : top + height, left : left + width])
        parts.append(MaskPatch(left, top, window == number))
    return parts


def patch_iou(a: MaskPatch, b: MaskPatch) -> float:
    """Return the intersection over union of two masks of one image; 0 where both are empty."""
    left, top = max(a.left_px, b.left_px), max(a.top_px, b.top_px)
    right = min(a.left_px + a.bits.shape[1], b.left_px + b.bits.shape[1])
    bottom = min(a.top_px + a.bits.shape[0], b.top_px + b.bits.shape[0])
    if right <= left or bottom <= top:
        return 0.0
    seen_a, seen_b = (
        patch.bits[top - patch.top_px : bottom - patch.top_px, left - patch.left_px : right - patch.left_px]
        for patch in (a, b)
    )
    shared = int(np.count_nonzero(seen_a & seen_b))
    return shared / max(a.area_px + b.area_px - shared, 1)


def patch_to_alpha(patch: MaskPatch) -> npt.NDArray[np.uint8]:
    """Return the window of a mask as 0 and 255, uint8 [h, w], which OpenCV can resize."""
    return patch.bits.astype(np.uint8) * np.uint8(255)


def _has_holes(bits: BoolArray) -> bool:
    outside = cv2.copyMakeBorder(_as_uint8(~bits), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    return int(cv2.connectedComponents(outside, connectivity=4)[0]) > 2


def _as_uint8(bits: BoolArray) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(bits).view(np.uint8)


def _parts(bits: BoolArray, connectivity: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return which connected part each pixel belongs to (0 where unset), and each part's area in pixels."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(_as_uint8(bits), connectivity=connectivity)
    return np.asarray(parts, dtype=np.int32), stats[:, cv2.CC_STAT_AREA].astype(np.int32)
