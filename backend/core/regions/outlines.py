"""What kinds with corners share: corners [K, 2] in pixels to bounds, to a mask, to a rough prompt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.masks import patch_box
from backend.core.geometry.polygons import polygon_to_patch
from backend.core.regions.kind import Drawn, Outline, why_nothing_is_drawn

MIN_PROMPT_AREA_PX = 4.0
MIN_PROMPT_SIDE_PX = 0.5

Corners = npt.NDArray[np.float64]


def corner_bounds(corners_px: Corners) -> FloatArray:
    """Return the smallest upright box around corners, float32 [4]."""
    bounds: FloatArray = np.concatenate((corners_px.min(axis=0), corners_px.max(axis=0))).astype(np.float32)
    return bounds


def draw_outline(corners_px: Corners, size: ImageSize) -> Drawn:
    """Return the area inside an outline, and its box. Raises UnusableRegion if it holds no pixel."""
    patch = polygon_to_patch(corners_px, size)
    if patch is None:
        raise why_nothing_is_drawn(corner_bounds(corners_px), size)
    return Drawn(patch_box(patch), patch)


def outline_mark(corners_px: Corners, size: ImageSize) -> Outline | None:
    """Return an outline as a prompt; None without area on the image."""
    corners = corners_px.astype(np.float32)
    low = np.maximum(corners.min(axis=0), 0)
    high = np.minimum(corners.max(axis=0), [size.width, size.height])
    if (high - low).min() <= MIN_PROMPT_SIDE_PX or outline_area_px(corners) < MIN_PROMPT_AREA_PX:
        return None
    return Outline(corners)


def outline_area_px(corners_px: FloatArray) -> float:
    """Return the area of a simple polygon [K, 2]. Source: the shoelace formula."""
    xs, ys = corners_px[:, 0].astype(np.float64), corners_px[:, 1].astype(np.float64)
    return abs(float(np.dot(xs, np.roll(ys, -1)) - np.dot(ys, np.roll(xs, -1)))) / 2
