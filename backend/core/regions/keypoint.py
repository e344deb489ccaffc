"""Key points: `x`, `y` in percent. Some are labels, some prompts of smart tools: the config tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.core.geometry.boxes import xyxy_px_to_rect_pct
from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.masks import deepest_pixel
from backend.core.regions.kind import Click, Drawn, FoundObject, RegionKind, Teaches, Value
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import read_number, write_pct

WIDTH_PCT = 0.5
ROUNDING_PCT = 1e-3
"""So far beyond the edge a point may be written that lies on it."""
SLACK_PCT = 1.0
"""A click this far outside the image was meant for its edge."""
EDGE_PX = 0.5
"""A click on the far edge belongs to the last pixel."""


@dataclass(frozen=True)
class KeypointShape:
    """A point."""

    x_pct: float
    y_pct: float

    def bounds_px(self, size: ImageSize) -> FloatArray:
        """Return the point as a box without area."""
        x_px, y_px = self.x_pct * size.width / 100, self.y_pct * size.height / 100
        return np.array([x_px, y_px, x_px, y_px], dtype=np.float32)

    def draw(self, size: ImageSize) -> Drawn:
        """Return the point as a box without area. Raises UnusableRegion outside of the image."""
        if not all(-ROUNDING_PCT <= place <= 100 + ROUNDING_PCT for place in (self.x_pct, self.y_pct)):
            raise UnusableRegion("outside_image")
        limit = np.array((size.width, size.height) * 2, dtype=np.float32)
        return Drawn(np.clip(self.bounds_px(size), 0, limit), None)

    def prompt_mark(self, size: ImageSize) -> Click | None:
        """Return the click; None where it was not meant for the image."""
        if not all(-SLACK_PCT <= place <= 100 + SLACK_PCT for place in (self.x_pct, self.y_pct)):
            return None
        return Click(
            min(max(self.x_pct * size.width / 100, EDGE_PX), size.width - EDGE_PX),
            min(max(self.y_pct * size.height / 100, EDGE_PX), size.height - EDGE_PX),
        )


def _has_fields(value: Value) -> bool:
    return "x" in value and "height" not in value and "radiusX" not in value


def _read(value: Value, recorded_size: ImageSize | None) -> KeypointShape:
    return KeypointShape(read_number(value, "x"), read_number(value, "y"))


def _write(found: FoundObject) -> dict[str, Any] | None:
    """Return the point where it is surest to lie on the object: deepest in the mask, else amid the box."""
    if found.mask is not None:
        column, row = deepest_pixel(found.mask)
        x, y = 100 * (column + 0.5) / found.size.width, 100 * (row + 0.5) / found.size.height
    else:
        left, top, width, height = xyxy_px_to_rect_pct(found.box_xyxy_px, found.size)
        x, y = left + width / 2, top + height / 2
    return {"x": write_pct(x), "y": write_pct(y), "width": WIDTH_PCT}


KEYPOINT = RegionKind(
    name="keypoint",
    title="KeyPoint",
    plural="key points",
    has_fields=_has_fields,
    geometry_fields=("x", "y"),
    read=_read,
    write=_write,
    teaches=Teaches.POINT,
    check_text="key points are predicted",
    prompt_reason="keypoint",
)
