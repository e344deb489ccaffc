"""The cells in which a mask is decided: the picture's pixels, or fewer where the mask is large.

What a network says of a mask has 256 cells a side at most, so a grid twice as fine knows all of it. What a
mask costs thus depends on the network, not on how many pixels the picture has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, FloatArray, MaskPatch

PIXELWISE_SIDE_PX = 1024
"""Up to this longer side of its box, a mask is decided pixel by pixel."""
COARSE_SIDE = 512
"""Cells along the longer side of a larger box."""
_THIN_ALPHA = 64
"""A cell that a stroke covers by a quarter is the stroke's, so that thin ones survive."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels, half-open."""


@dataclass(frozen=True)
class MaskGrid:
    """Cells over a box of the orig frame; shape_wh: how many there are along x and y."""

    box: Box
    shape_wh: tuple[int, int]

    @classmethod
    def over(cls, box: Box) -> MaskGrid:
        """Return the grid of a box."""
        width, height = box[2] - box[0], box[3] - box[1]
        longest = longest_side(box)
        shrink = 1.0 if longest <= PIXELWISE_SIDE_PX else COARSE_SIDE / longest
        return cls(box, (math.ceil(width * shrink), math.ceil(height * shrink)))

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Cells per pixel, along x and along y."""
        left, top, right, bottom = self.box
        return self.shape_wh[0] / (right - left), self.shape_wh[1] / (bottom - top)

    @property
    def is_coarse(self) -> bool:
        """Tell whether cells are larger than pixels."""
        return self.scale_xy != (1.0, 1.0)

    @property
    def centres_xy_px(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The columns and rows of the orig frame, counted from 0, in whose middle the cells' middles lie."""
        return (
            _middles(self.box[0], self.box[2], self.shape_wh[0]),
            _middles(self.box[1], self.box[3], self.shape_wh[1]),
        )

    def decided(self, likely: FloatArray, bits: BoolArray) -> BoolArray:
        """Return the pixels of the box that cells [h, w] set, bool.

        likely 0..1 [h, w]: what the cells were decided from, above a half where set unless it was decided
        otherwise; so the outline is smooth between cells.
        """
        if not self.is_coarse:
            return bits
        left, top, right, bottom = self.box
        agreed = np.where((likely > 0.5) == bits, likely, bits.astype(np.float32))
        # Bytes, because interpolating floats costs several times as much.
        levels = np.clip(agreed * 255 + 0.5, 0, 255).astype(np.uint8)
        large = cv2.resize(levels, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        pixels: BoolArray = np.asarray(large) >= 128
        return pixels

    def points_to_cells(self, points_xy_px: FloatArray) -> FloatArray:
        """Return points [N, 2] of the orig frame in cells."""
        moved = points_xy_px - np.array(self.box[:2], dtype=np.float32)
        return moved * np.array(self.scale_xy, dtype=np.float32)

    def patch_to_cells(self, patch: MaskPatch) -> BoolArray:
        """Return which cells a patch of the orig frame covers, bool [h, w]."""
        out = np.zeros(self.shape_wh[::-1], dtype=np.bool_)
        height, width = patch.bits.shape
        whole = (patch.left_px, patch.top_px, patch.left_px + width, patch.top_px + height)
        part = common_box(self.box, whole)
        if part is None:
            return out
        x1, y1, x2, y2 = part
        bits = patch.bits[y1 - patch.top_px : y2 - patch.top_px, x1 - patch.left_px : x2 - patch.left_px]
        corners = self.points_to_cells(np.array([[x1, y1], [x2, y2]], dtype=np.float32))
        left, top = np.floor(corners[0]).astype(int).tolist()
        right, bottom = np.ceil(corners[1]).astype(int).tolist()
        if self.is_coarse:
            alpha = bits.astype(np.uint8) * np.uint8(255)
            shares = cv2.resize(alpha, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
            bits = np.asarray(shares) > _THIN_ALPHA
        out[top:bottom, left:right] = bits[: out.shape[0] - top, : out.shape[1] - left]
        return out


def _middles(first: int, end: int, count: int) -> npt.NDArray[np.float64]:
    step = (end - first) / count
    middles: npt.NDArray[np.float64] = first + np.arange(count, dtype=np.float64) * step + (step - 1) / 2
    return middles


def longest_side(box: Box) -> int:
    """Return the longer side of a box."""
    return max(box[2] - box[0], box[3] - box[1])


def common_box(a: Box, b: Box) -> Box | None:
    """Return what two boxes have in common; None for nothing."""
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (left, top, right, bottom) if right > left and bottom > top else None
