"""Lines of text in an image, and which of the objects found there they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from backend.core.geometry.boxes import box_area, box_iou, clip_boxes
from backend.core.geometry.instances import Detections, FloatArray, ImageSize, IntArray, MaskPatch
from backend.core.geometry.polygons import polygon_to_patch
from backend.core.geometry.turned_boxes import upright_as_turned

LEAST_SHARE_INSIDE = 0.7
"""A line belongs to an object whose box holds so much of it, or that lies as it does."""
SAME_LINE_IOU = 0.5
TOUCHES_IOU = 0.1
SAME_ROW_SHARE = 0.5
ROUGHLY_INSIDE = 0.5
MARGIN_SHARE = 0.5
LEAST_WINDOW_PX = 320
"""A window shows some of what is around: a line alone is hardly known as one."""
TURNED_AREA_SHARE = 0.8
"""A mask whose tightest turned rectangle has less than this of its box's area is cut out turned."""
NO_OBJECT = -1

Sides = tuple[float, float, float, float]
"""Left, top, right, bottom of a box that people draw around a line, from the line's own sides: in heights of
the line, positive to the right and down."""
ON_THE_LINE: Sides = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class LineHabit:
    """How a team draws lines of text: the label that they have, and where the sides of its boxes lie."""

    label: str
    sides: Sides = ON_THE_LINE

    def as_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads."""
        return {"label": self.label, "sides": list(self.sides)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LineHabit:
        """Read the habit of a card."""
        left, top, right, bottom = (float(side) for side in content["sides"])
        return cls(str(content["label"]), (left, top, right, bottom))


@dataclass(frozen=True, eq=False)
class TextLine:
    """One line: corners_px float32 [4, 2] clockwise from the text's own top left, orig frame; score 0..1."""

    corners_px: FloatArray
    score: float

    @property
    def box_xyxy_px(self) -> FloatArray:
        """The smallest upright box around it, float32 [4]."""
        corners = self.corners_px
        box: FloatArray = np.concatenate((corners.min(axis=0), corners.max(axis=0))).astype(np.float32)
        return box

    def drawn_with(self, sides: Sides) -> TextLine:
        """Return the line with its sides moved, along the text and across it."""
        along, down = self.corners_px[1] - self.corners_px[0], self.corners_px[3] - self.corners_px[0]
        length, height = float(np.linalg.norm(along)), float(np.linalg.norm(down))
        if not length or not height:
            return self
        unit = min(length, height)
        left, top, right, bottom = (share * unit for share in sides)
        moves = [(left, top), (right, top), (right, bottom), (left, bottom)]
        moved = [x * along / length + y * down / height for x, y in moves]
        return replace(self, corners_px=(self.corners_px + np.stack(moved)).astype(np.float32))

    def moved(self, right_px: float, down_px: float) -> TextLine:
        """Return the line in an image of which this one's was a window."""
        return replace(self, corners_px=self.corners_px + np.array([right_px, down_px], np.float32))


@dataclass(frozen=True)
class ReadText:
    """What was read in one cut-out, and how sure the reader is, 0..1."""

    text: str
    score: float


@dataclass(frozen=True, eq=False)
class ObjectsWithLines:
    """What is in an image: detections, and for each the quadrilaterals [4, 2] to read, row by row.

    rows: for each detection its rows from top to bottom, each with its quadrilaterals from left to right.
    free_count: how many of the detections, the last ones, are lines that belong to no other.
    """

    detections: Detections
    rows: tuple[tuple[tuple[FloatArray, ...], ...], ...]
    free_count: int = 0


def boxes_of(lines: Sequence[TextLine], size: ImageSize) -> FloatArray:
    """Return the upright boxes of lines, float32 [N, 4], cut to the image."""
    return clip_boxes(np.array([line.box_xyxy_px for line in lines], np.float32).reshape(-1, 4), size)


def owners_of(line_boxes: FloatArray, boxes: FloatArray) -> IntArray:
    """Return for each line [L, 4] the object [N, 4] that it belongs to, int64 [L]; NO_OBJECT for none.

    Of several that hold it, it is the one that it overlaps most.
    """
    if not len(boxes) or not len(line_boxes):
        return np.full(len(line_boxes), NO_OBJECT, np.int64)
    iou = box_iou(line_boxes, boxes)
    fits = (_share_inside(line_boxes, boxes) >= LEAST_SHARE_INSIDE) | (iou >= SAME_LINE_IOU)
    best = np.argmax(np.where(fits, iou, -1), axis=1)
    return np.where(fits.any(axis=1), best, NO_OBJECT).astype(np.int64)


def lines_inside(lines: Sequence[TextLine], box_xyxy_px: FloatArray, size: ImageSize) -> list[TextLine]:
    """Return the lines of which at least half lies in a box [4] that was drawn roughly."""
    inside = _share_inside(boxes_of(lines, size), box_xyxy_px[None])
    return [line for line, share in zip(lines, inside[:, 0], strict=True) if share >= ROUGHLY_INSIDE]


def window_around(box_xyxy_px: FloatArray, size: ImageSize) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the part of an image that shows a box [4] and what is around it."""
    x1, y1, x2, y2 = box_xyxy_px.tolist()
    around = MARGIN_SHARE * min(x2 - x1, y2 - y1)
    wide = max(0.0, LEAST_WINDOW_PX - (x2 - x1)) / 2 + around
    high = max(0.0, LEAST_WINDOW_PX - (y2 - y1)) / 2 + around
    left, top = max(0, int(x1 - wide)), max(0, int(y1 - high))
    right, bottom = min(size.width, int(x2 + wide) + 1), min(size.height, int(y2 + high) + 1)
    return min(left, size.width - 1), min(top, size.height - 1), max(right, 1), max(bottom, 1)


def join_lines(
    detections: Detections,
    lines: Sequence[TextLine],
    line_label_index: int | None,
    sides: Sides = ON_THE_LINE,
) -> ObjectsWithLines:
    """Return the objects of an image with what is to be read in each.

    line_label_index: the label of which objects are lines of text; None where no label's are. Lines that
    belong to no other object then are objects of that label, drawn with these sides, and stand for the
    detections of that label that they touch: of a line, the engine knows better where it ends. A detection
    without a line is read as a whole.
    """
    size = detections.size
    line_boxes = boxes_of(lines, size)
    usable = [k for k in range(len(lines)) if min(line_boxes[k, 2:] - line_boxes[k, :2]) >= 1]
    lines, line_boxes = [lines[k] for k in usable], line_boxes[usable]
    if line_label_index is not None and lines:
        touched = (box_iou(detections.boxes_xyxy_px, line_boxes) >= TOUCHES_IOU).any(axis=1)
        kept = np.flatnonzero((detections.label_indices != line_label_index) | ~touched)
        detections = chosen(detections, kept.tolist())
    owners = owners_of(line_boxes, detections.boxes_xyxy_px)
    rows: list[tuple[tuple[FloatArray, ...], ...]] = []
    for index in range(len(detections)):
        mine = [lines[k].corners_px for k in np.flatnonzero(owners == index).tolist()]
        whole = outline_of(detections.boxes_xyxy_px[index], detections.masks[index])
        rows.append(rows_of(mine) or ((whole,),))
    if line_label_index is None:
        return ObjectsWithLines(detections, tuple(rows))
    free = [lines[k] for k in np.flatnonzero(owners == NO_OBJECT).tolist()]
    rows += [((line.corners_px,),) for line in free]
    drawn = [line.drawn_with(sides) for line in free]
    return ObjectsWithLines(_with_lines(detections, drawn, line_label_index), tuple(rows), len(free))


def chosen(detections: Detections, kept: Sequence[int]) -> Detections:
    """Return some of the detections, by their positions."""
    return replace(
        detections,
        boxes_xyxy_px=detections.boxes_xyxy_px[kept],
        scores=detections.scores[kept],
        label_indices=detections.label_indices[kept],
        masks=tuple(detections.masks[k] for k in kept),
        turned_boxes_px=None if detections.turned_boxes_px is None else detections.turned_boxes_px[kept],
        attributes=None if detections.attributes is None else tuple(detections.attributes[k] for k in kept),
    )


def _with_lines(detections: Detections, lines: Sequence[TextLine], label_index: int) -> Detections:
    """Return the detections with lines as further objects, which have the area of their quadrilateral."""
    size = detections.size
    scores = np.array([line.score for line in lines], np.float32)
    drawn = tuple(polygon_to_patch(line.corners_px.astype(np.float64), size) for line in lines)
    boxes, turned = boxes_of(lines, size), detections.turned_boxes_px
    return replace(
        detections,
        boxes_xyxy_px=np.concatenate((detections.boxes_xyxy_px, boxes)),
        scores=np.concatenate((detections.scores, scores)),
        label_indices=np.concatenate((detections.label_indices, np.full(len(lines), label_index, np.int64))),
        masks=(*detections.masks, *drawn),
        turned_boxes_px=None if turned is None else np.concatenate((turned, upright_as_turned(boxes))),
        attributes=None if detections.attributes is None else (*detections.attributes, *({} for _ in lines)),
    )


def _share_inside(line_boxes: FloatArray, boxes: FloatArray) -> FloatArray:
    """Return how much of each line [L, 4] lies in each box [N, 4], float32 [L, N]."""
    top_left = np.maximum(line_boxes[:, None, :2], boxes[None, :, :2])
    bottom_right = np.minimum(line_boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.maximum(bottom_right - top_left, 0), axis=2)
    share: FloatArray = shared / np.maximum(box_area(line_boxes), 1e-6)[:, None]
    return share


def rows_of(quads: Sequence[FloatArray]) -> tuple[tuple[FloatArray, ...], ...]:
    """Return quadrilaterals [4, 2] in reading order: rows from top to bottom, each from left to right."""
    rows: list[list[FloatArray]] = []
    for quad in sorted(quads, key=lambda quad: float(quad[:, 1].mean())):
        if rows and _share_height(rows[-1][-1], quad) >= SAME_ROW_SHARE:
            rows[-1].append(quad)
        else:
            rows.append([quad])
    return tuple(tuple(sorted(row, key=lambda quad: float(quad[:, 0].mean()))) for row in rows)


def _share_height(one: FloatArray, other: FloatArray) -> float:
    """Return how much of the lower of two quadrilaterals lies at the height of the other, 0..1."""
    tops = max(one[:, 1].min(), other[:, 1].min())
    bottoms = min(one[:, 1].max(), other[:, 1].max())
    least = min(np.ptp(one[:, 1]), np.ptp(other[:, 1]))
    return float((bottoms - tops) / least) if least > 0 else 0.0


def outline_of(box_xyxy_px: FloatArray, mask: MaskPatch | None) -> FloatArray:
    """Return the quadrilateral [4, 2] in which an object is read: its box, or a turned mask's own rectangle.

    The corners go clockwise; the first side is the one that runs along the text, which is the longer one.
    """
    x1, y1, x2, y2 = box_xyxy_px.tolist()
    upright = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    if mask is None:
        return upright
    rows, columns = np.nonzero(mask.bits)
    points = np.stack((columns + mask.left_px, rows + mask.top_px), axis=1).astype(np.float32) + 0.5
    rectangle = cv2.minAreaRect(points)
    if rectangle[1][0] * rectangle[1][1] >= TURNED_AREA_SHARE * (x2 - x1) * (y2 - y1):
        return upright
    corners = np.asarray(cv2.boxPoints(rectangle), np.float32)
    # Clockwise in the image; the side that begins is the longer one, in the direction that goes to the right.
    sides = np.roll(corners, -1, axis=0) - corners
    longer = np.linalg.norm(sides, axis=1) >= np.linalg.norm(sides, axis=1).mean() - 1e-3
    begin = max((k for k in range(4) if longer[k]), key=lambda k: float(sides[k, 0]))
    return np.roll(corners, -begin, axis=0)
