"""Boxes: corners in pixels, rectangles in percent, area, overlap.

Half-open corners (x1, y1, x2, y2) with x2 >= x1 and y2 >= y1; a box of N rows may have N = 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize


def box_area(boxes_xyxy: FloatArray) -> FloatArray:
    """Return the areas [N] of boxes [N, 4]; a box turned inside out has none."""
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    area: FloatArray = sides[:, 0] * sides[:, 1]
    return area


def box_iou(boxes_a_xyxy: FloatArray, boxes_b_xyxy: FloatArray) -> FloatArray:
    """Return the intersection over union [N, M] of boxes [N, 4] and [M, 4]; 0 where neither has an area."""
    top_left = np.maximum(boxes_a_xyxy[:, None, :2], boxes_b_xyxy[None, :, :2])
    bottom_right = np.minimum(boxes_a_xyxy[:, None, 2:], boxes_b_xyxy[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = box_area(boxes_a_xyxy)[:, None] + box_area(boxes_b_xyxy)[None, :] - shared
    iou: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def clip_boxes(boxes_xyxy_px: FloatArray, size: ImageSize) -> FloatArray:
    """Return boxes [N, 4] cut to the image; one that lies outside is left without area."""
    limit = np.array([size.width, size.height, size.width, size.height], dtype=boxes_xyxy_px.dtype)
    return np.clip(boxes_xyxy_px, 0, limit)


def xyxy_px_to_rect_pct(box_xyxy_px: FloatArray, size: ImageSize) -> tuple[float, float, float, float]:
    """Return x, y, width, height in percent of the image, of one box [4] in pixels, cut to the image."""
    x1, y1, x2, y2 = clip_boxes(np.asarray(box_xyxy_px, dtype=np.float32)[None], size)[0].tolist()
    x, y = 100 * x1 / size.width, 100 * y1 / size.height
    return x, y, min(100 * (x2 - x1) / size.width, 100 - x), min(100 * (y2 - y1) / size.height, 100 - y)


def rect_pct_to_corners_px(
    x_pct: float, y_pct: float, width_pct: float, height_pct: float, rotation_deg: float, size: ImageSize
) -> npt.NDArray[np.float64]:
    """Return the corners [4, 2] (x, y) of a rectangle, clockwise from its own top left corner.

    It is turned by rotation_deg clockwise about that corner, in pixel space, as Label Studio draws it.
    """
    width_px, height_px = width_pct * size.width / 100, height_pct * size.height / 100
    angle = math.radians(rotation_deg)
    along = np.array([math.cos(angle), math.sin(angle)]) * width_px
    down = np.array([-math.sin(angle), math.cos(angle)]) * height_px
    corner = np.array([x_pct * size.width / 100, y_pct * size.height / 100])
    return np.stack([corner, corner + along, corner + along + down, corner + down])
