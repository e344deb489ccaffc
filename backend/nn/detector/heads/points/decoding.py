"""From heatmaps to points: the peaks of each label, as many as its labels allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from backend.core.geometry.instances import FloatArray, IntArray
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.points import NO_OBJECT, FoundPoints
from backend.nn.detector.heads.points.module import POINT_STRIDE

APART_CELLS = 2
"""Two points of one label are at least so many cells apart."""
BOX_MARGIN = 0.1
"""A point belongs to a box that it misses by no more than this share of the box's longer side."""


@dataclass(frozen=True, eq=False)
class PointMaps:
    """What the module says of one image: logits, and the ways to points in cells, float32 [L, h, w] each."""

    logits: FloatArray
    offsets_x: FloatArray
    offsets_y: FloatArray


def find_points(
    maps: PointMaps, letterbox: Letterbox, floor_logit: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the peaks of one image: places [K, 2] in the orig frame, logits [K] and labels [K], best first.

    floor_logit: peaks below are none. Padding holds no point.
    """
    inner = letterbox.inner_size
    rows, columns = (-(-side // POINT_STRIDE) for side in (inner.height, inner.width))
    size = 2 * APART_CELLS + 1
    around = np.ones((size, size), np.uint8)
    places, peaks, labels = [], [], []
    for label, heatmap in enumerate(maps.logits[:, :rows, :columns]):
        heatmap = np.ascontiguousarray(heatmap)
        if heatmap.max() < floor_logit:
            continue
        is_peak = (heatmap >= cv2.dilate(heatmap, around)) & (heatmap >= floor_logit)
        row, column = np.nonzero(is_peak)
        x = column + 0.5 + maps.offsets_x[label, row, column]
        y = row + 0.5 + maps.offsets_y[label, row, column]
        places.append(np.stack([x, y], axis=1) * POINT_STRIDE)
        peaks.append(heatmap[row, column])
        labels.append(np.full(len(row), label))
    if not places:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    order = np.argsort(-np.concatenate(peaks), kind="stable")
    scale = np.array(letterbox.scale_xy)
    limit = np.array([letterbox.size.width, letterbox.size.height])
    in_orig = np.clip(np.concatenate(places) / scale, 0, limit)
    return (
        in_orig[order].astype(np.float32),
        np.concatenate(peaks)[order].astype(np.float32),
        np.concatenate(labels)[order].astype(np.int64),
    )


def choose_points(
    points_xy_px: FloatArray,
    scores: FloatArray,
    labels: IntArray,
    boxes_xyxy_px: FloatArray,
    most_per_image: Sequence[int],
    most_per_object: Sequence[int],
) -> FoundPoints:
    """Return the points that the labels allow, of candidates that come best first.

    boxes_xyxy_px [B, 4]: of the objects that were found, best first. most_per_image, most_per_object: by
    label; 0 means no limit, and for objects that its points belong to none.
    """
    kept, rows = [], []
    in_image: dict[int, int] = {}
    in_object: dict[tuple[int, int], int] = {}
    for number, label in enumerate(labels.tolist()):
        limit, object_limit = most_per_image[label], most_per_object[label]
        if limit and in_image.get(label, 0) >= limit:
            continue
        row = NO_OBJECT
        if object_limit and len(boxes_xyxy_px):
            holding = _boxes_about(points_xy_px[number], boxes_xyxy_px)
            free = [box for box in holding if in_object.get((box, label), 0) < object_limit]
            if holding and not free:
                continue
            row = free[0] if free else NO_OBJECT
            in_object[row, label] = in_object.get((row, label), 0) + 1
        in_image[label] = in_image.get(label, 0) + 1
        kept.append(number)
        rows.append(row)
    taken = np.array(kept, dtype=np.int64)
    return FoundPoints(points_xy_px[taken], scores[taken], labels[taken], np.array(rows, dtype=np.int64))


def _boxes_about(point_xy_px: FloatArray, boxes_xyxy_px: FloatArray) -> list[int]:
    """Return the boxes that hold a point, the one whose centre is nearest for its size first."""
    sides = boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]
    margin = BOX_MARGIN * sides.max(axis=1, keepdims=True)
    is_inside = (
        (point_xy_px >= boxes_xyxy_px[:, :2] - margin) & (point_xy_px <= boxes_xyxy_px[:, 2:] + margin)
    ).all(axis=1)
    centres = (boxes_xyxy_px[:, :2] + boxes_xyxy_px[:, 2:]) / 2
    distances = (np.abs(point_xy_px - centres) / sides).max(axis=1)
    order: list[int] = np.argsort(np.where(is_inside, distances, np.inf), kind="stable").tolist()
    return order[: int(is_inside.sum())]
