"""Rectangles: `x`, `y`, `width`, `height` in percent, turned by `rotation` about their top left corner."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.boxes import clip_boxes, rect_pct_to_corners_px, xyxy_px_to_rect_pct
from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.turned_boxes import corners_to_turned, turned_to_rect_pct
from backend.core.regions.kind import (
    Drawn,
    FoundObject,
    Outline,
    RegionKind,
    Teaches,
    Value,
    why_nothing_is_drawn,
)
from backend.core.regions.outlines import corner_bounds, draw_outline, outline_mark
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import DECIMALS_PCT, read_number, write_pct

MIN_SIDE_PX = 0.5  # of an upright rectangle: below, it covers no pixel
MIN_SIDE_PCT = 1e-3
QUARTER_TURN_TOLERANCE_DEG = 0.01
DECIMALS_DEG = 2


@dataclass(frozen=True)
class RectangleShape:
    """A rectangle, turned clockwise about the corner where it was begun.

    A side below 0 was dragged up or to the left: older editors store it so.
    """

    x_pct: float
    y_pct: float
    width_pct: float
    height_pct: float
    rotation_deg: float

    def bounds_px(self, size: ImageSize) -> FloatArray:
        """Return the smallest upright box around it."""
        return corner_bounds(self._corners_px(size))

    def draw(self, size: ImageSize) -> Drawn:
        """Return its box; it has no mask, since what is inside is not known, unless it is turned.

        Turned by other than quarter turns, it teaches how, and its own area, which is nearer to the object
        than the box around it.
        """
        bounds = self.bounds_px(size)
        box: FloatArray = clip_boxes(bounds[None], size)[0]
        if self._is_turned:
            corners = self._corners_px(size)
            return replace(
                draw_outline(corners, size),
                box_xyxy_px=box,
                turned_box_px=corners_to_turned(corners[None])[0],
            )
        if (box[2:] - box[:2]).min() < MIN_SIDE_PX:
            raise why_nothing_is_drawn(bounds, size)
        return Drawn(box, None)

    def prompt_mark(self, size: ImageSize) -> Outline | None:
        """Return its corners, and whether it is turned."""
        mark = outline_mark(self._corners_px(size), size)
        return None if mark is None else replace(mark, is_turned=self._is_turned)

    @property
    def _is_turned(self) -> bool:
        return not _is_upright(self.rotation_deg)

    def _corners_px(self, size: ImageSize) -> npt.NDArray[np.float64]:
        return rect_pct_to_corners_px(
            self.x_pct, self.y_pct, self.width_pct, self.height_pct, self.rotation_deg, size
        )


def _has_fields(value: Value) -> bool:
    return "x" in value and "height" in value and "radiusX" not in value


def _read(value: Value, recorded_size: ImageSize | None) -> RectangleShape:
    x, y, width, height = (read_number(value, key) for key in ("x", "y", "width", "height"))
    if width == 0 or height == 0:
        raise UnusableRegion("zero_area")
    return RectangleShape(x, y, width, height, read_number(value, "rotation", 0.0))


def _write(found: FoundObject) -> dict[str, Any] | None:
    """Return the turned rectangle around an object, if it has one that can be drawn, else the upright one."""
    if found.turned_box_px is not None and (turned := _write_turned(found.turned_box_px, found.size)):
        return turned
    x, y, width, height = xyxy_px_to_rect_pct(found.box_xyxy_px, found.size)
    if width < MIN_SIDE_PCT or height < MIN_SIDE_PCT:
        return None
    left, top = write_pct(x), write_pct(y)
    width, height = write_pct(min(width, 100 - left)), write_pct(min(height, 100 - top))
    return {"x": left, "y": top, "width": width, "height": height, "rotation": 0.0}


def _write_turned(turned_box_px: FloatArray, size: ImageSize) -> dict[str, Any] | None:
    """Return a rectangle that is turned; None for an upright one, and for one that the SDK would refuse."""
    x, y, width, height, degrees = turned_to_rect_pct(turned_box_px, size)
    # label_studio_sdk takes a corner left of the image or above it, but none beyond 100 %.
    if _is_upright(degrees) or max(x, y, width, height) > 100 or min(width, height) < MIN_SIDE_PCT:
        return None
    numbers = {"x": x, "y": y, "width": width, "height": height}
    rounded = {name: round(number, DECIMALS_PCT) for name, number in numbers.items()}
    return {**rounded, "rotation": round(degrees, DECIMALS_DEG)}


def _is_upright(degrees: float) -> bool:
    return abs(math.remainder(degrees, 90)) < QUARTER_TURN_TOLERANCE_DEG


RECTANGLE = RegionKind(
    name="rectangle",
    title="Rectangle",
    plural="rectangles",
    has_fields=_has_fields,
    geometry_fields=("x", "y", "width", "height", "rotation"),
    read=_read,
    write=_write,
    teaches=Teaches.BOX,
    check_text="boxes are predicted",
)
