"""Turned boxes: rectangles at any angle, as rows (centre x, centre y, width, height, rotation).

Pixels, and degrees clockwise; the width lies along the direction of the rotation. An array of N rows is
float32 [N, 5], and N may be 0. One rectangle has four such rows, a quarter turn apart; those made here have
the one with a rotation from -45 up to 45, where width and height are what a reader calls so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, MaskPatch, TrainingTarget

Floats = npt.NDArray[np.float64]

QUARTER_DEG, HALF_QUARTER_DEG = 90.0, 45.0
NOT_TURNED: FloatArray = np.full(5, np.nan, dtype=np.float32)
"""The row of an object that was not drawn as a turned rectangle."""


def rows_if_any_is_turned(rows: Sequence[FloatArray]) -> FloatArray | None:
    """Return rows [5] as one array [N, 5]; None where all of them are NOT_TURNED."""
    stacked = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return stacked if np.any(is_turned(stacked)) else None


def is_turned(rows: FloatArray) -> BoolArray:
    """Return which rows [N, 5] are a box and not NOT_TURNED, bool [N]."""
    known: BoolArray = ~np.isnan(rows[:, 0])
    return known


def turned_boxes_of(target: TrainingTarget) -> FloatArray:
    """Return the turned boxes [N, 5] of all objects: as they were drawn, else the smallest around the mask.

    An object without either has its upright box.
    """
    rows = upright_as_turned(target.boxes_xyxy_px)
    drawn: BoolArray = np.zeros(len(target), np.bool_)
    if target.turned_boxes_px is not None:
        drawn = is_turned(target.turned_boxes_px)
        rows[drawn] = target.turned_boxes_px[drawn]
    for k, mask in enumerate(target.masks):
        if mask is not None and not drawn[k]:
            rows[k] = patch_to_turned(mask)
    return rows


def upright_as_turned(boxes_xyxy_px: FloatArray) -> FloatArray:
    """Return upright boxes [N, 4] as turned ones [N, 5]."""
    low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:]
    upright = np.concatenate([(low + high) / 2, high - low, np.zeros_like(low[:, :1])], axis=1)
    rows: FloatArray = upright.astype(np.float32)
    return rows


def turned_corners(turned_boxes_px: FloatArray) -> Floats:
    """Return the corners [N, 4, 2] (x, y) of turned boxes [N, 5], clockwise from each one's own top left."""
    rows = np.asarray(turned_boxes_px, dtype=np.float64)
    angle = np.radians(rows[:, 4])
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rows[:, 2:3] / 2
    down = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * rows[:, 3:4] / 2
    centre = rows[:, :2]
    corners: Floats = np.stack(
        [centre - along - down, centre + along - down, centre + along + down, centre - along + down], axis=1
    )
    return corners


def corners_to_turned(corners_px: Floats) -> FloatArray:
    """Return the rectangles [N, 5] nearest to parallelograms, given by corners [N, 4, 2] in turn.

    A rectangle that was stretched is a parallelogram, and a mirrored one runs the other way round. The
    rotation is that of the polar decomposition of the two sides, so it is nearest to both, the longer side
    counting more, and a square that is hardly stretched hardly turns. Source: the orthogonal Procrustes
    problem, Schoenemann, Psychometrika 31, 1966.
    """
    corners = np.asarray(corners_px, dtype=np.float64)
    along, down = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    is_mirrored = along[:, 0] * down[:, 1] < along[:, 1] * down[:, 0]
    along, down = (
        np.where(is_mirrored[:, None], down, along),
        np.where(is_mirrored[:, None], along, down),
    )
    angle = np.arctan2(along[:, 1] - down[:, 0], along[:, 0] + down[:, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    width = along[:, 0] * cos + along[:, 1] * sin
    height = down[:, 1] * cos - down[:, 0] * sin
    rows = np.column_stack([corners.mean(axis=1), width, height, np.degrees(angle)])
    return nearest_to_upright(rows.astype(np.float32))


def nearest_to_upright(turned_boxes_px: FloatArray) -> FloatArray:
    """Return the same rectangles [N, 5] by their rows with a rotation from -45 up to 45 degrees."""
    rows = np.array(turned_boxes_px, dtype=np.float32)
    quarters = np.floor((rows[:, 4] + HALF_QUARTER_DEG) / QUARTER_DEG)
    rows[:, 4] -= quarters * QUARTER_DEG
    is_swapped = quarters % 2 == 1
    rows[is_swapped, 2:4] = rows[is_swapped, 3:1:-1]
    return rows


def turned_bounds(turned_boxes_px: FloatArray) -> FloatArray:
    """Return the smallest upright boxes [N, 4] around turned ones [N, 5]."""
    corners = turned_corners(turned_boxes_px)
    bounds: FloatArray = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    return bounds


def turned_iou(turned_a_px: FloatArray, turned_b_px: FloatArray) -> FloatArray:
    """Return the intersection over union [N, M] of turned boxes [N, 5] and [M, 5]; 0 where neither has area.

    The area that two share is exact: one is cut by the four sides of the other.
    Source: Sutherland and Hodgman, Communications of the ACM 17, 1974.
    """
    a, b = (np.asarray(rows, dtype=np.float64).reshape(-1, 5) for rows in (turned_a_px, turned_b_px))
    iou = np.zeros((len(a), len(b)), dtype=np.float32)
    bounds_a, bounds_b = turned_bounds(a), turned_bounds(b)  # type: ignore[arg-type]
    low = np.maximum(bounds_a[:, None, :2], bounds_b[None, :, :2])
    high = np.minimum(bounds_a[:, None, 2:], bounds_b[None, :, 2:])
    first, second = np.nonzero((high > low).all(axis=-1))
    if len(first):
        shared = _shared_areas(a[first], b[second])
        areas_a, areas_b = (np.maximum(rows[:, 2], 0) * np.maximum(rows[:, 3], 0) for rows in (a, b))
        union = areas_a[first] + areas_b[second] - shared
        iou[first, second] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def _shared_areas(a: Floats, b: Floats) -> Floats:
    """Return the areas [K] that two rows of pairs [K, 5] share."""
    # In the frame of b its sides are x = +-w/2 and y = +-h/2.
    moved = turned_corners(a) - b[:, None, :2]  # type: ignore[arg-type]
    angle = np.radians(b[:, 4])
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    polygons = np.stack(
        [moved[..., 0] * cos + moved[..., 1] * sin, moved[..., 1] * cos - moved[..., 0] * sin], axis=-1
    )
    for axis, limits in ((0, b[:, 2] / 2), (1, b[:, 3] / 2)):
        for sign in (1.0, -1.0):
            polygons = _cut(polygons, axis, sign, limits)
    following = np.roll(polygons, -1, axis=1)
    cross = polygons[..., 0] * following[..., 1] - polygons[..., 1] * following[..., 0]
    shared: Floats = np.abs(cross.sum(axis=1)) / 2
    return shared


def _cut(polygons: Floats, axis: int, sign: float, limits: Floats) -> Floats:
    """Return convex polygons [K, V, 2] cut to sign * coordinate <= limit, as [K, V + 1, 2].

    Corners that are left over repeat the first one; what nothing is left of is one point.
    """
    count, corners = polygons.shape[:2]
    over = sign * polygons[..., axis] - limits[:, None]
    following, over_following = np.roll(polygons, -1, axis=1), np.roll(over, -1, axis=1)
    crosses = (over > 0) != (over_following > 0)
    part = np.divide(over, over - over_following, out=np.zeros_like(over), where=crosses)
    crossings = polygons + part[..., None] * (following - polygons)
    candidates = np.stack([polygons, crossings], axis=2).reshape(count, 2 * corners, 2)
    is_left = np.stack([over <= 0, crosses], axis=2).reshape(count, 2 * corners)
    order = np.argsort(~is_left, axis=1, kind="stable")[:, : corners + 1]
    kept: Floats = np.take_along_axis(candidates, order[..., None], axis=1)
    is_kept = np.take_along_axis(is_left, order, axis=1)
    return np.where(is_kept[..., None], kept, kept[:, :1])


def patch_to_turned(patch: MaskPatch) -> FloatArray:
    """Return the smallest turned box [5] around a patch that has set pixels."""
    contours, _ = cv2.findContours(patch.bits.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    centres = np.concatenate(contours).reshape(-1, 2) + np.array((patch.left_px + 0.5, patch.top_px + 0.5))
    (x, y), (width, height), degrees = cv2.minAreaRect(centres.astype(np.float32))
    # A pixel is a square, not a point: half of one more on each side.
    rows = nearest_to_upright(np.array([[x, y, width + 1, height + 1, degrees]], dtype=np.float32))
    smallest: FloatArray = rows[0]
    return smallest


def turned_to_rect_pct(
    turned_box_px: FloatArray, size: ImageSize
) -> tuple[float, float, float, float, float]:
    """Return x, y, width, height in percent of the image, and the rotation in degrees, 0 up to 360.

    As Label Studio writes a rectangle: x and y are its own top left corner after the turn, about which it is
    turned clockwise, in pixel space. Nothing is cut: a corner may lie outside the image.
    """
    rows = np.asarray(turned_box_px, dtype=np.float64)[None]
    corner = turned_corners(rows)[0, 0]  # type: ignore[arg-type]
    return (
        100 * float(corner[0]) / size.width,
        100 * float(corner[1]) / size.height,
        100 * float(rows[0, 2]) / size.width,
        100 * float(rows[0, 3]) / size.height,
        math.fmod(float(rows[0, 4]) + 360.0, 360.0),
    )
