"""Where an image lies on a canvas that is made of parts of images: scaled, mirrored, moved and cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.turned_boxes import corners_to_turned, turned_corners

Rect = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels, half-open."""


@dataclass(frozen=True)
class Placement:
    """An image of `size`, scaled to width_px x height_px, mirrored, with its corner at (left_px, top_px).

    clip: the part of the canvas that it may paint.
    """

    size: ImageSize
    width_px: int
    height_px: int
    left_px: int
    top_px: int
    flip_x: bool
    flip_y: bool
    clip: Rect

    @property
    def visible(self) -> Rect:
        """The part of the canvas that shows the image; its sides are zero or less where none does."""
        return (
            max(self.left_px, self.clip[0]),
            max(self.top_px, self.clip[1]),
            min(self.left_px + self.width_px, self.clip[2]),
            min(self.top_px + self.height_px, self.clip[3]),
        )

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right of what the image shows are exchanged; flipped twice it is only turned."""
        return self.flip_x != self.flip_y

    @property
    def visible_px(self) -> int:
        """How many pixels of the canvas show the image."""
        x1, y1, x2, y2 = self.visible
        return max(x2 - x1, 0) * max(y2 - y1, 0)

    def boxes_to_canvas(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Move boxes [N, 4] from the image to the canvas; nothing is cut."""
        scale_x, scale_y = self.width_px / self.size.width, self.height_px / self.size.height
        moved = boxes_xyxy_px * np.array((scale_x, scale_y) * 2, dtype=np.float32)
        if self.flip_x:
            moved = np.stack(
                [self.width_px - moved[:, 2], moved[:, 1], self.width_px - moved[:, 0], moved[:, 3]], axis=1
            )
        if self.flip_y:
            moved = np.stack(
                [moved[:, 0], self.height_px - moved[:, 3], moved[:, 2], self.height_px - moved[:, 1]], axis=1
            )
        return moved + np.array((self.left_px, self.top_px) * 2, dtype=np.float32)

    def points_to_canvas(self, points_xy_px: FloatArray) -> FloatArray:
        """Move points [N, 2] from the image to the canvas, also to where it shows nothing of the image."""
        return self.boxes_to_canvas(np.concatenate([points_xy_px, points_xy_px], axis=1))[:, :2]

    def turned_to_canvas(self, turned_boxes_px: FloatArray) -> FloatArray:
        """Move turned boxes [N, 5] from the image to the canvas; nothing is cut."""
        scale = np.array([self.width_px / self.size.width, self.height_px / self.size.height])
        corners = turned_corners(turned_boxes_px) * scale
        if self.flip_x:
            corners[..., 0] = self.width_px - corners[..., 0]
        if self.flip_y:
            corners[..., 1] = self.height_px - corners[..., 1]
        return corners_to_turned(corners + np.array((self.left_px, self.top_px)))


def whole(size: ImageSize, canvas: ImageSize) -> Placement:
    """Return the placement of an image that is stretched over a whole canvas."""
    return Placement(
        size, canvas.width, canvas.height, 0, 0, False, False, (0, 0, canvas.width, canvas.height)
    )
