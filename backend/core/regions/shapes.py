"""The shapes of regions in pixels: rectangle, ellipse, polygon and brush values to boxes and masks.

Values are in percent of the image, so they are drawn at whatever size the decoded image has; brush masks are
resized to it. What sticks out of the image is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.boxes import clip_boxes, rect_pct_to_corners_px
from backend.core.geometry.ellipses import Ellipse, ellipse_to_patch
from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import alpha_to_mask, join_patches, patch_box
from backend.core.geometry.polygons import polygon_to_patch
from backend.core.regions.brush_rle import decode_brush_rle

SHAPE_KINDS = ("rectangle", "ellipse", "polygon", "brush")
REASONS = {
    "bad_geometry": "its coordinates are missing, not numbers, or do not make a shape",
    "broken_rle": "its brush mask cannot be decoded",
    "keypoint": "a key point has no extent to learn from",
    "no_label": "it has no label",
    "not_predicted": 'only tags with model_skip="true" and key points have its label',
    "outside_image": "it lies outside the image",
    "prompt": "it is a smart tool's prompt that was left in the annotation",
    "unknown_control": "its from_name or to_name is not in the labeling config",
    "unknown_label": "its label is not in the labeling config",
    "unknown_page": "its item_index is not one of the task's pages",
    "unsupported_shape": "this backend does not learn from its kind (bitmask, vector, magic wand)",
    "zero_area": "it covers no pixel",
}
MIN_SIDE_PX = 0.5  # of an upright rectangle: below, it covers no pixel
MAX_PCT = 1e6
MAX_POLYGON_POINTS = 20_000
QUARTER_TURN_TOLERANCE_DEG = 0.01

Points = npt.NDArray[np.float64]


class UnusableRegion(Exception):
    """A region teaches nothing; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True)
class RegionShape:
    """The geometry of one result: its kind, its `value` as sent, the image size it was drawn on."""

    kind: str
    value: Mapping[str, Any] = field(repr=False)
    recorded_size: ImageSize | None


def kind_of_value(value: Any) -> str | None:
    """Return the kind of shape, told by the value's fields as the editor does; None if it is none."""
    if not isinstance(value, Mapping):
        return None
    if "rle" in value:
        return "brush"
    if "points" in value:
        return "polygon"
    if "radiusX" in value:
        return "ellipse"
    if "x" not in value:
        return None
    return "rectangle" if "height" in value else "keypoint"


def parse_recorded_size(width: Any, height: Any) -> ImageSize | None:
    """Return `original_width` and `original_height` as a size; None where they are missing or make none."""
    for side in (width, height):
        if isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side <= MAX_PCT:
            return None
    return ImageSize(int(width), int(height))


def draw_region(shapes: Sequence[RegionShape], size: ImageSize) -> tuple[FloatArray, MaskPatch | None]:
    """Return the box, float32 [4], and the mask of an object made of one or more shapes.

    An upright rectangle has no mask, since what is inside it is not known; one turned by other than quarter
    turns has. With several shapes: the box around all, and the masks of those that have one, joined.
    Raises UnusableRegion.
    """
    drawn = [_draw_shape(shape, size) for shape in shapes]
    boxes = np.stack([box for box, _ in drawn])
    box = np.concatenate((boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0))).astype(np.float32)
    patches = [patch for _, patch in drawn if patch is not None]
    return box, join_patches(patches) if patches else None


def _draw_shape(shape: RegionShape, size: ImageSize) -> tuple[FloatArray, MaskPatch | None]:
    if shape.kind == "rectangle":
        corners = _corners_px(shape.value, size)
        if abs(math.remainder(_number(shape.value, "rotation", 0.0), 90)) < QUARTER_TURN_TOLERANCE_DEG:
            return _upright_box(corners, size), None
        patch = _polygon_patch(corners, size)
    elif shape.kind == "ellipse":
        patch = _ellipse_patch(shape.value, size)
    elif shape.kind == "polygon":
        patch = _polygon_patch(_points_px(shape.value, size), size)
    else:
        patch = _brush_patch(shape, size)
    return patch_box(patch), patch


def _corners_px(value: Mapping[str, Any], size: ImageSize) -> Points:
    x, y, width, height = (_number(value, key) for key in ("x", "y", "width", "height"))
    if width <= 0 or height <= 0:
        raise UnusableRegion("zero_area")
    return rect_pct_to_corners_px(x, y, width, height, _number(value, "rotation", 0.0), size)


def _upright_box(corners_px: Points, size: ImageSize) -> FloatArray:
    box = np.concatenate((corners_px.min(axis=0), corners_px.max(axis=0))).astype(np.float32)
    clipped = clip_boxes(box[None], size)[0]
    if (clipped[2:] - clipped[:2]).min() < MIN_SIDE_PX:
        raise UnusableRegion(_why_empty(box, size))
    side: FloatArray = clipped
    return side


def _points_px(value: Mapping[str, Any], size: ImageSize) -> Points:
    try:
        points = np.array(value["points"])
    except ValueError as exc:  # rows of different lengths
        raise UnusableRegion("bad_geometry") from exc
    if points.dtype.kind not in "if" or points.ndim != 2 or points.shape[1] != 2:
        raise UnusableRegion("bad_geometry")
    if not 3 <= len(points) <= MAX_POLYGON_POINTS or not np.all(np.abs(points) <= MAX_PCT):
        raise UnusableRegion("bad_geometry")
    scaled: Points = points * np.array([size.width / 100, size.height / 100])
    return scaled


def _polygon_patch(points_px: Points, size: ImageSize) -> MaskPatch:
    patch = polygon_to_patch(points_px, size)
    if patch is None:
        box = np.concatenate((points_px.min(axis=0), points_px.max(axis=0))).astype(np.float32)
        raise UnusableRegion(_why_empty(box, size))
    return patch


def _ellipse_patch(value: Mapping[str, Any], size: ImageSize) -> MaskPatch:
    ellipse = Ellipse(
        center_x=_number(value, "x") * size.width / 100,
        center_y=_number(value, "y") * size.height / 100,
        radius_x=_number(value, "radiusX") * size.width / 100,
        radius_y=_number(value, "radiusY") * size.height / 100,
        rotation_deg=_number(value, "rotation", 0.0),
    )
    patch = ellipse_to_patch(ellipse, size)
    if patch is None:
        raise UnusableRegion(_why_empty(np.array(ellipse.box_xyxy, dtype=np.float32), size))
    return patch


def _brush_patch(shape: RegionShape, size: ImageSize) -> MaskPatch:
    try:
        alpha = decode_brush_rle(shape.value["rle"], shape.recorded_size or size)
    except ValueError as exc:
        raise UnusableRegion("broken_rle") from exc
    patch = MaskPatch.from_full(alpha_to_mask(alpha, size))
    if patch is None:
        raise UnusableRegion("zero_area")
    return patch


def _why_empty(box_xyxy_px: FloatArray, size: ImageSize) -> str:
    x1, y1, x2, y2 = box_xyxy_px.tolist()
    is_apart = x2 <= 0 or y2 <= 0 or x1 >= size.width or y1 >= size.height
    return "outside_image" if is_apart and x2 > x1 and y2 > y1 else "zero_area"


def _number(value: Mapping[str, Any], key: str, default: float | None = None) -> float:
    number = value.get(key)
    if number is None and default is not None:
        return default
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= MAX_PCT:
        raise UnusableRegion("bad_geometry")
    return float(number)
