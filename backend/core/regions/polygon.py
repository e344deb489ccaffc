"""Polygons: one ring of `points`, each [x, y] in percent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.polygons import patch_to_polygon
from backend.core.regions.kind import Drawn, FoundObject, Outline, RegionKind, Teaches, Value
from backend.core.regions.outlines import corner_bounds, draw_outline, outline_mark
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import DECIMALS_PCT, MAX_PCT, is_number_text

MAX_POINTS = 20_000
MAX_PROMPT_POINTS = 2000


@dataclass(frozen=True, eq=False)
class PolygonShape:
    """A closed ring: points_pct float64 [N, 2], N from 3 to MAX_POINTS."""

    points_pct: npt.NDArray[np.float64] = field(repr=False)

    def bounds_px(self, size: ImageSize) -> FloatArray:
        """Return the smallest upright box around it."""
        return corner_bounds(self._points_px(size))

    def draw(self, size: ImageSize) -> Drawn:
        """Return the area inside, and its box."""
        return draw_outline(self._points_px(size), size)

    def prompt_mark(self, size: ImageSize) -> Outline | None:
        """Return its corners; None where they are more than a hand draws."""
        return (
            outline_mark(self._points_px(size), size) if len(self.points_pct) <= MAX_PROMPT_POINTS else None
        )

    def _points_px(self, size: ImageSize) -> npt.NDArray[np.float64]:
        scaled: npt.NDArray[np.float64] = self.points_pct * (size.width / 100, size.height / 100)
        return scaled


def _read(value: Value, recorded_size: ImageSize | None) -> PolygonShape:
    try:
        points = np.array(value.get("points"))
    except ValueError as exc:  # rows of different lengths
        raise UnusableRegion("bad_geometry") from exc
    if points.dtype.kind == "U" and points.ndim == 2 and all(is_number_text(text) for text in points.flat):
        raise UnusableRegion("numbers_as_text")
    if points.dtype.kind not in "if" or points.ndim != 2 or points.shape[1] != 2:
        raise UnusableRegion("bad_geometry")
    if not 3 <= len(points) <= MAX_POINTS or not np.all(np.abs(points) <= MAX_PCT):
        raise UnusableRegion("bad_geometry")
    return PolygonShape(points.astype(np.float64))


def outline_pct(mask: MaskPatch, size: ImageSize) -> list[list[float]]:
    """Return the outline of a mask as it is sent: [x, y] in percent of the image."""
    points = patch_to_polygon(mask) * (100 / size.width, 100 / size.height)
    rounded: list[list[float]] = np.clip(points, 0, 100).round(DECIMALS_PCT).tolist()
    return rounded


def _write(found: FoundObject) -> dict[str, Any] | None:
    if found.mask is None:
        return None
    return {"points": outline_pct(found.mask, found.size), "closed": True}


POLYGON = RegionKind(
    name="polygon",
    title="Polygon",
    plural="polygons",
    has_fields=lambda value: "points" in value,
    geometry_fields=("points",),
    read=_read,
    write=_write,
    teaches=Teaches.MASK,
    check_text="outlines are predicted",
    needs_mask=True,
)
