"""Letterbox: how one image lies in the network's input, there and back.

The image is scaled to fit and put into the top left corner; the rest, right or below, is grey. So frame `net`
differs from frame `orig` by a scale alone. Pixel i covers [i, i + 1) in both frames, the scale of each axis
is the one of the rounded size, and boxes, masks, images and maps move by that same scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import tight_patch
from backend.core.geometry.turned_boxes import corners_to_turned, turned_corners

PADDING_GREY = 114  # close to the mean of natural images, so that padding is no edge worth learning


@dataclass(frozen=True)
class Letterbox:
    """The place of an image of `size` (frame orig) in an input of `net_size` (frame net).

    inner_size: the part of the input that the image covers, from the top left corner.
    """

    size: ImageSize
    net_size: ImageSize
    inner_size: ImageSize

    @classmethod
    def fit(cls, size: ImageSize, net_size: int | ImageSize) -> Letterbox:
        """Return the letterbox that shows the whole image as large as possible; an int means a square."""
        net = ImageSize(net_size, net_size) if isinstance(net_size, int) else net_size
        scale = min(net.width / size.width, net.height / size.height)
        inner = ImageSize(
            width=min(net.width, max(1, round(size.width * scale))),
            height=min(net.height, max(1, round(size.height * scale))),
        )
        return cls(size=size, net_size=net, inner_size=inner)

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Net pixels per orig pixel, along x and along y."""
        return self.inner_size.width / self.size.width, self.inner_size.height / self.size.height

    def image_to_net(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return uint8 [net height, net width, C] of an image, uint8 [H, W, C]."""
        if image.shape[:2] != (self.size.height, self.size.width):
            raise ValueError(
                f"made for {self.size.height}x{self.size.width} (rows x columns), got {image.shape}"
            )
        width, height, channels = self.inner_size.width, self.inner_size.height, image.shape[2]
        how = cv2.INTER_AREA if width < self.size.width else cv2.INTER_LINEAR
        resized = np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)
        out = np.full((self.net_size.height, self.net_size.width, channels), PADDING_GREY, dtype=np.uint8)
        out[:height, :width] = resized.reshape(height, width, channels)
        return out

    def boxes_to_net(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Move boxes [N, 4] from orig to net."""
        return boxes_xyxy_px * np.array(self.scale_xy * 2, dtype=np.float32)

    def boxes_to_orig(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Move boxes [N, 4] from net to orig, cut to the image."""
        limit = np.array((self.size.width, self.size.height) * 2, dtype=np.float32)
        return np.clip(boxes_xyxy_px * (1 / np.array(self.scale_xy * 2)).astype(np.float32), 0, limit)

    def turned_to_net(self, turned_boxes_px: FloatArray) -> FloatArray:
        """Move turned boxes [N, 5] from orig to net; not cut."""
        return corners_to_turned(turned_corners(turned_boxes_px) * self.scale_xy)

    def turned_to_orig(self, turned_boxes_px: FloatArray) -> FloatArray:
        """Move turned boxes [N, 5] from net to orig; not cut."""
        return corners_to_turned(turned_corners(turned_boxes_px) / self.scale_xy)

    def patch_to_net(self, patch: MaskPatch) -> MaskPatch | None:
        """Move a mask from orig to net: set are the net pixels at least half covered; None where none is."""
        scale_x, scale_y = self.scale_xy
        height, width = patch.bits.shape
        left, top = math.floor(patch.left_px * scale_x), math.floor(patch.top_px * scale_y)
        right = min(self.inner_size.width, math.ceil((patch.left_px + width) * scale_x))
        bottom = min(self.inner_size.height, math.ceil((patch.top_px + height) * scale_y))
        if left >= right or top >= bottom:
            return None
        # Net pixel edges in the window's own pixels; what lies outside the window is unset.
        rows = np.clip(np.arange(top, bottom + 1) / scale_y - patch.top_px, 0, height)
        columns = np.clip(np.arange(left, right + 1) / scale_x - patch.left_px, 0, width)
        covered = _sums_between(_sums_between(patch.bits.astype(np.float32), rows).T, columns).T
        return tight_patch(covered * (scale_x * scale_y) >= 0.5, left, top)

    def map_to_orig(
        self, grid: FloatArray, window_xyxy_px: tuple[int, int, int, int] | None = None
    ) -> FloatArray:
        """Return a map over the input as float32 [h, w] over a window of the image (all of it by default).

        grid float32 [gh, gw] covers the whole of net, padding included, at any resolution; it is interpolated
        linearly between cell centres, and not thresholded. window_xyxy_px: whole pixels of orig.
        """
        left, top, right, bottom = window_xyxy_px or (0, 0, self.size.width, self.size.height)
        columns, rows = (np.arange(*ends, dtype=np.float64) for ends in ((left, right), (top, bottom)))
        return self.map_at(grid, rows, columns)

    def map_at(
        self, grid: FloatArray, rows_px: npt.NDArray[np.float64], columns_px: npt.NDArray[np.float64]
    ) -> FloatArray:
        """Return a map, as in `map_to_orig`, at every pair of a row [K] and a column [L] of the image."""
        scale_x, scale_y = self.scale_xy
        step_x = scale_x * grid.shape[1] / self.net_size.width
        step_y = scale_y * grid.shape[0] / self.net_size.height
        return linear_at(grid, rows_px * step_y + (step_y - 1) / 2, columns_px * step_x + (step_x - 1) / 2)


def linear_at(
    grid: FloatArray, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> FloatArray:
    """Return grid [N, M] at every pair of a fractional row [K] and column [L], float32 [K, L].

    Linear between cells, the border goes on outside. Memory lies column by column.
    """
    # Not cv2.warpAffine: it rounds places to 1/32 of a cell, takes no side above 32767 and is slower.
    first = int(np.clip(np.floor(columns.min()), 0, grid.shape[1] - 1))
    last = int(np.clip(np.ceil(columns.max()), first, grid.shape[1] - 1))
    by_column = np.ascontiguousarray(_rows_at(grid[:, first : last + 1], rows).T)
    at_columns: FloatArray = _rows_at(by_column, columns - first).T
    return at_columns


def _sums_between(values: FloatArray, edges: npt.NDArray[np.float64]) -> FloatArray:
    """Return the sums [K, M] of values [N, M] between K + 1 row edges in 0..N; cut rows count in part."""
    cumulative = np.zeros((len(values) + 1, values.shape[1]), dtype=np.float32)
    np.cumsum(values, axis=0, out=cumulative[1:])
    below = np.minimum(edges.astype(np.int64), len(values) - 1)
    part = (edges - below).astype(np.float32)[:, None]
    at_edges = cumulative[below] * (1 - part) + cumulative[below + 1] * part
    sums: FloatArray = np.diff(at_edges, axis=0)
    return sums


def _rows_at(grid: FloatArray, places: npt.NDArray[np.float64]) -> FloatArray:
    """Return rows [K, M] of a grid [N, M] at fractional places; outside, the border row goes on."""
    inside = np.clip(places, 0, len(grid) - 1)
    below = np.minimum(inside.astype(np.int64), max(len(grid) - 2, 0))
    rows: FloatArray = grid.take(below, axis=0)
    step = grid.take(np.minimum(below + 1, len(grid) - 1), axis=0)
    step -= rows
    step *= (inside - below).astype(np.float32)[:, None]
    rows += step
    return rows
