"""Ellipses: centre `x`, `y` and `radiusX`, `radiusY` in percent, turned by `rotation` about the centre."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.core.geometry.ellipses import Ellipse, box_to_ellipse, ellipse_to_patch, patch_to_ellipse
from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.masks import patch_box
from backend.core.regions.kind import (
    Drawn,
    FoundObject,
    Outline,
    RegionKind,
    Teaches,
    Value,
    why_nothing_is_drawn,
)
from backend.core.regions.outlines import outline_mark
from backend.core.regions.values import read_number, write_pct

PROMPT_CORNERS = 48


@dataclass(frozen=True)
class EllipseShape:
    """An ellipse, turned clockwise about its centre."""

    x_pct: float
    y_pct: float
    radius_x_pct: float
    radius_y_pct: float
    rotation_deg: float

    def bounds_px(self, size: ImageSize) -> FloatArray:
        """Return the smallest upright box around it."""
        return np.array(self._ellipse(size).box_xyxy, dtype=np.float32)

    def draw(self, size: ImageSize) -> Drawn:
        """Return the area inside, and its box."""
        patch = ellipse_to_patch(self._ellipse(size), size)
        if patch is None:
            raise why_nothing_is_drawn(self.bounds_px(size), size)
        return Drawn(patch_box(patch), patch)

    def prompt_mark(self, size: ImageSize) -> Outline | None:
        """Return its outline as PROMPT_CORNERS corners."""
        ellipse = self._ellipse(size)
        turn = math.radians(ellipse.rotation_deg)
        angles = np.linspace(0, 2 * np.pi, PROMPT_CORNERS, endpoint=False)
        along, down = np.cos(angles) * ellipse.radius_x, np.sin(angles) * ellipse.radius_y
        xs = along * math.cos(turn) - down * math.sin(turn) + ellipse.center_x
        ys = along * math.sin(turn) + down * math.cos(turn) + ellipse.center_y
        return outline_mark(np.stack([xs, ys], axis=1), size)

    def _ellipse(self, size: ImageSize) -> Ellipse:
        return Ellipse(
            center_x=self.x_pct * size.width / 100,
            center_y=self.y_pct * size.height / 100,
            radius_x=self.radius_x_pct * size.width / 100,
            radius_y=self.radius_y_pct * size.height / 100,
            rotation_deg=self.rotation_deg,
        )


def _read(value: Value, recorded_size: ImageSize | None) -> EllipseShape:
    x, y, radius_x, radius_y = (read_number(value, key) for key in ("x", "y", "radiusX", "radiusY"))
    # A radius below 0 was dragged up or to the left: older editors store it so.
    return EllipseShape(x, y, abs(radius_x), abs(radius_y), read_number(value, "rotation", 0.0))


def _write(found: FoundObject) -> dict[str, Any] | None:
    """Return the ellipse with the moments of the mask, else the one inside the box."""
    size = found.size
    ellipse = patch_to_ellipse(found.mask) if found.mask is not None else box_to_ellipse(found.box_xyxy_px)
    if ellipse.radius_x <= 0 or ellipse.radius_y <= 0:
        return None
    return {
        "x": write_pct(100 * ellipse.center_x / size.width),
        "y": write_pct(100 * ellipse.center_y / size.height),
        # label_studio_sdk refuses a radius over half of the image.
        "radiusX": write_pct(100 * ellipse.radius_x / size.width, limit=50.0),
        "radiusY": write_pct(100 * ellipse.radius_y / size.height, limit=50.0),
        "rotation": round(ellipse.rotation_deg % 360, 2),
    }


ELLIPSE = RegionKind(
    name="ellipse",
    title="Ellipse",
    plural="ellipses",
    has_fields=lambda value: "radiusX" in value,
    geometry_fields=("x", "y", "radiusX", "radiusY", "rotation"),
    read=_read,
    write=_write,
    teaches=Teaches.MASK,
    check_text="ellipses are predicted",
)
