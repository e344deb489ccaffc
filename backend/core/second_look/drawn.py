"""What somebody drew in an image, as rows of single objects, and how far it covers what was found there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.core.geometry.boxes import box_area, box_iou
from backend.core.geometry.instances import BoolArray, Detections, FloatArray, IntArray, TrainingTarget
from backend.core.geometry.turned_boxes import turned_boxes_of, turned_iou


@dataclass(frozen=True, eq=False)
class Drawn:
    """The objects of one image.

    boxes_xyxy_px float32 [M, 4]; turned_boxes_px float32 [M, 5], None where the version finds upright boxes;
    labels bool [M, L]: those of each object, of all labels of the project. rows int64 [M]: where each stands
    in the target it came from.
    """

    boxes_xyxy_px: FloatArray
    turned_boxes_px: FloatArray | None
    labels: BoolArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of_target(cls, target: TrainingTarget, label_count: int, *, with_turned: bool) -> Drawn:
        """Return the objects of a target; rows of one object are joined."""
        first = target.first_rows
        labels = np.zeros((len(first), label_count), dtype=np.bool_)
        labels[target.object_of_row, target.label_indices] = True
        turned = turned_boxes_of(target)[first] if with_turned else None
        return cls(target.boxes_xyxy_px[first], turned, labels, first)

    def kept(self, which: BoolArray | IntArray | Sequence[int]) -> Drawn:
        """Return some of the objects."""
        turned = None if self.turned_boxes_px is None else self.turned_boxes_px[which]
        return replace(
            self,
            boxes_xyxy_px=self.boxes_xyxy_px[which],
            turned_boxes_px=turned,
            labels=self.labels[which],
            rows=self.rows[which],
        )

    def joined(self, other: Drawn) -> Drawn:
        """Return the objects of both."""
        turned = None
        if self.turned_boxes_px is not None and other.turned_boxes_px is not None:
            turned = np.concatenate([self.turned_boxes_px, other.turned_boxes_px])
        return Drawn(
            np.concatenate([self.boxes_xyxy_px, other.boxes_xyxy_px]),
            turned,
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.rows, other.rows]),
        )

    def ious_with(self, found: Detections) -> FloatArray:
        """Return the IoU [M, N] of the objects with what was found, turned where that was learned."""
        if self.turned_boxes_px is None or found.turned_boxes_px is None:
            return box_iou(self.boxes_xyxy_px, found.boxes_xyxy_px)
        return turned_iou(self.turned_boxes_px, found.turned_boxes_px)

    def ious_among(self) -> FloatArray:
        """Return the IoU [M, M] of the objects with each other, 0 with themselves."""
        if self.turned_boxes_px is None:
            ious = box_iou(self.boxes_xyxy_px, self.boxes_xyxy_px)
        else:
            ious = turned_iou(self.turned_boxes_px, self.turned_boxes_px)
        np.fill_diagonal(ious, 0)
        return ious

    @property
    def areas_px(self) -> FloatArray:
        """The areas [M] of the boxes, at least 1."""
        if self.turned_boxes_px is not None:
            areas: FloatArray = np.maximum(self.turned_boxes_px[:, 2] * self.turned_boxes_px[:, 3], 1)
            return areas
        areas = np.maximum(box_area(self.boxes_xyxy_px), 1)
        return areas


def found_areas_px(found: Detections) -> FloatArray:
    """Return the areas [N] of what was found, at least 1."""
    if found.turned_boxes_px is None:
        return np.maximum(box_area(found.boxes_xyxy_px), 1)
    areas: FloatArray = np.maximum(found.turned_boxes_px[:, 2] * found.turned_boxes_px[:, 3], 1)
    return areas


def found_ious(found: Detections) -> FloatArray:
    """Return the IoU [N, N] of what was found with each other."""
    if found.turned_boxes_px is None:
        return box_iou(found.boxes_xyxy_px, found.boxes_xyxy_px)
    return turned_iou(found.turned_boxes_px, found.turned_boxes_px)
