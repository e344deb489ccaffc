"""Ellipses: from masks and boxes, and to masks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import tight_patch

PIXELS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in pixels: centre, radii, and rotation in degrees clockwise about the centre."""

    center_x: float
    center_y: float
    radius_x: float
    radius_y: float
    rotation_deg: float = 0.0

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Corners of the smallest upright box around it."""
        cos, sin = math.cos(math.radians(self.rotation_deg)), math.sin(math.radians(self.rotation_deg))
        half_width = math.hypot(self.radius_x * cos, self.radius_y * sin)
        half_height = math.hypot(self.radius_x * sin, self.radius_y * cos)
        return (
            self.center_x - half_width,
            self.center_y - half_height,
            self.center_x + half_width,
            self.center_y + half_height,
        )


def ellipse_to_patch(ellipse: Ellipse, size: ImageSize) -> MaskPatch | None:
    """Return the pixels of the image whose centre lies inside; None where there are none."""
    x1, y1, x2, y2 = ellipse.box_xyxy
    left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
    right, bottom = min(size.width, math.ceil(x2)), min(size.height, math.ceil(y2))
    if left >= right or top >= bottom or ellipse.radius_x <= 0 or ellipse.radius_y <= 0:
        return None
    dx = np.arange(left, right)[None, :] + 0.5 - ellipse.center_x
    dy = np.arange(top, bottom)[:, None] + 0.5 - ellipse.center_y
    cos, sin = math.cos(math.radians(ellipse.rotation_deg)), math.sin(math.radians(ellipse.rotation_deg))
    inside = np.zeros((bottom - top, right - left), dtype=np.bool_)
    # In bands: the numbers behind each pixel take dozens of times its own memory.
    rows = max(1, PIXELS_AT_ONCE // (right - left))
    for first in range(0, bottom - top, rows):
        below = dy[first : first + rows]
        along, across = dx * cos + below * sin, below * cos - dx * sin
        distance = (along / ellipse.radius_x) ** 2 + (across / ellipse.radius_y) ** 2
        inside[first : first + rows] = distance <= 1
    return tight_patch(inside, left, top)


def patch_to_ellipse(patch: MaskPatch) -> Ellipse:
    """Return the ellipse with the centre and the second moments of a patch that has set pixels.

    A filled ellipse has variance radius**2 / 4 along each axis. radius_x belongs to the axis nearer to the
    horizontal, so the rotation is from -45 to 45 degrees; a round patch gets 0.
    """
    height, width = patch.bits.shape
    x, y = np.arange(width) + (patch.left_px + 0.5), np.arange(height) + (patch.top_px + 0.5)
    in_columns, in_rows = np.zeros(width), np.zeros(height)
    x_of_rows = np.zeros(height)  # sums over the set pixels of a row
    # In bands: the coordinates of each pixel take dozens of times its own memory.
    rows = max(1, PIXELS_AT_ONCE // width)
    for first in range(0, height, rows):
        band = patch.bits[first : first + rows].astype(np.float64)
        in_columns += band.sum(axis=0)
        in_rows[first : first + rows] = band.sum(axis=1)
        x_of_rows[first : first + rows] = band @ x
    count = in_rows.sum()
    center_x, center_y = float(in_columns @ x / count), float(in_rows @ y / count)
    # 1/12: a pixel is a square, not a point.
    var_x = float(in_columns @ (x - center_x) ** 2 / count) + 1 / 12
    var_y = float(in_rows @ (y - center_y) ** 2 / count) + 1 / 12
    covariance = float((y - center_y) @ (x_of_rows - in_rows * center_x) / count)
    spread = math.hypot((var_x - var_y) / 2, covariance)
    middle = (var_x + var_y) / 2
    angle = 0.0
    if spread > 0.02 * middle:
        angle = 0.5 * math.atan2(2 * covariance, var_x - var_y)
    long_axis, short_axis = 2 * math.sqrt(middle + spread), 2 * math.sqrt(max(middle - spread, 1 / 12))
    if abs(angle) > math.pi / 4:
        angle -= math.copysign(math.pi / 2, angle)
        long_axis, short_axis = short_axis, long_axis
    return Ellipse(center_x, center_y, long_axis, short_axis, math.degrees(angle))


def box_to_ellipse(box_xyxy_px: FloatArray) -> Ellipse:
    """Return the upright ellipse inscribed in a box [4]."""
    x1, y1, x2, y2 = np.asarray(box_xyxy_px, dtype=np.float64).tolist()
    return Ellipse((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2)
