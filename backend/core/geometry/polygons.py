"""Polygons: outlines of masks, and masks of outlines.

Outlines run along pixel edges: the mask of the single pixel (3, 5) is the square from (3, 5) to (4, 6).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, ImageSize, MaskPatch
from backend.core.geometry.masks import HOLE_SHARE, SPECK_SHARE, tight_patch

MAX_POINTS = 100
MAX_RINGS = 12
CROSSINGS_AT_ONCE = 1_000_000
PIXELS_AT_ONCE = 4_000_000

Points = npt.NDArray[np.float64]


def polygon_to_patch(points_xy_px: Points, size: ImageSize) -> MaskPatch | None:
    """Return the pixels of the image whose centre lies inside a closed polygon [N, 2], or None.

    Inside is what the outline winds around (nonzero rule), as the editor paints self-crossing outlines. The
    polygon may stick out of the image.
    """
    left, top = np.maximum(np.floor(points_xy_px.min(axis=0)), 0).astype(int).tolist()
    right, bottom = (
        np.minimum(np.ceil(points_xy_px.max(axis=0)), (size.width, size.height)).astype(int).tolist()
    )
    if left >= right or top >= bottom:
        return None
    width, height = right - left, bottom - top
    inside = np.zeros((height, width), dtype=np.bool_)
    # In bands: how often the outline winds around a pixel takes eight times the memory of whether it does.
    rows = max(1, PIXELS_AT_ONCE // width)
    for first in range(0, height, rows):
        band = inside[first : first + rows]
        np.not_equal(_winding(points_xy_px - (left, top + first), len(band), width), 0, out=band)
    return tight_patch(inside, left, top)


def patch_to_polygon(
    patch: MaskPatch, tolerance_px: float | None = None, max_points: int = MAX_POINTS
) -> Points:
    """Return one outline [N, 2] of a patch that has set pixels, of 3 to max_points points in the orig frame.

    It deviates by at most tolerance_px (default: 1, less for small objects) unless max_points asks for more.
    Label Studio's polygons are one ring: holes and further parts of some size are joined to the largest part
    by slits without area; specks and pinholes (see `masks`) are left out.
    """
    rings = _rings(patch.bits)
    if tolerance_px is None:
        tolerance_px = min(1.0, 0.03 * math.sqrt(patch.area_px))
    simple = _simplify(rings, tolerance_px, max_points)
    outline = simple[0]
    for ring in simple[1:]:
        outline = _join(outline, ring)
    moved: Points = outline + np.array([patch.left_px, patch.top_px])
    return moved


def _winding(points: Points, height: int, width: int) -> npt.NDArray[np.int64]:
    """Return how often the outline winds around each pixel centre, [height, width]."""
    following = np.roll(points, -1, axis=0)
    x1, y1, x2, y2 = points[:, 0], points[:, 1], following[:, 0], following[:, 1]
    # An edge crosses the rows whose centre line lies in [upper, lower).
    first_row = np.clip(np.ceil(np.minimum(y1, y2) - 0.5), 0, height).astype(np.int64)
    end_row = np.clip(np.ceil(np.maximum(y1, y2) - 0.5), 0, height).astype(np.int64)
    counts = end_row - first_row
    crossings = np.zeros((height, width + 1), dtype=np.int64)
    groups = np.cumsum(counts) // CROSSINGS_AT_ONCE
    for group in np.unique(groups[counts > 0]).tolist():
        edges = np.flatnonzero((groups == group) & (counts > 0))
        edge = np.repeat(edges, counts[edges])
        within = np.arange(len(edge)) - np.repeat(np.cumsum(counts[edges]) - counts[edges], counts[edges])
        row = first_row[edge] + within
        slope = (x2[edge] - x1[edge]) / (y2[edge] - y1[edge])
        x = x1[edge] + (row + 0.5 - y1[edge]) * slope
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        sign = np.where(y2[edge] > y1[edge], 1, -1)
        np.add.at(crossings, (row, column), sign)
    winding: npt.NDArray[np.int64] = np.cumsum(crossings, axis=1)[:, :width]
    return winding


def _rings(bits: BoolArray) -> list[npt.NDArray[np.int32]]:
    """Return the rings worth keeping, largest part first, in half pixels; holes run the other way round."""
    height, width = bits.shape
    # On a grid of half pixels, odd places are pixel centres and even ones the edges between pixels. Growing
    # each centre by one makes contours run exactly along pixel edges instead of through pixel centres.
    centres = np.zeros((2 * height + 3, 2 * width + 3), dtype=np.uint8)
    centres[2:-1:2, 2:-1:2] = bits
    grown = cv2.dilate(centres, np.ones((3, 3), dtype=np.uint8))
    contours, hierarchy = cv2.findContours(grown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(-1, -1))
    areas = np.array([cv2.contourArea(contour) for contour in contours])
    is_hole = hierarchy[0, :, 3] >= 0
    largest = float(areas[~is_hole].max())
    is_kept = areas >= np.where(is_hole, HOLE_SHARE, SPECK_SHARE) * largest
    parent_is_kept = ~is_hole | is_kept[hierarchy[0, :, 3]]
    kept = np.flatnonzero(is_kept & parent_is_kept)
    order = sorted(kept.tolist(), key=lambda index: (bool(is_hole[index]), -areas[index]))
    return [np.asarray(contours[index], dtype=np.int32) for index in order[:MAX_RINGS]]


def _simplify(rings: list[npt.NDArray[np.int32]], tolerance_px: float, max_points: int) -> list[Points]:
    while True:
        corners = (cv2.approxPolyDP(ring, 2 * tolerance_px, closed=True)[:, 0] for ring in rings)
        simple = [corner.astype(np.float64) / 2 for corner in corners]
        simple = [ring for index, ring in enumerate(simple) if index == 0 or len(ring) >= 3]
        if len(simple[0]) < 3:
            x, y, width, height = cv2.boundingRect(rings[0])
            right, bottom = x + width - 1, y + height - 1
            simple[0] = np.array([[x, y], [x, bottom], [right, bottom], [right, y]]) / 2.0
        if sum(map(len, simple)) + 2 * (len(simple) - 1) <= max_points:
            return simple
        tolerance_px = max(1.4 * tolerance_px, 0.25)


def _join(outline: Points, ring: Points) -> Points:
    """Splice a ring into an outline, there and back along the shortest line between two of their points."""
    distances = ((outline[:, None, :] - ring[None, :, :]) ** 2).sum(axis=2)
    i, j = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.concatenate((ring[j:], ring[: j + 1]))
    return np.concatenate((outline[: i + 1], around, outline[i:]))
