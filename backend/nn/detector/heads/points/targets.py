"""What a batch teaches about points: how near each cell of the heatmaps is to one, and the way to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.points import LabelledPoint
from backend.nn.detector.heads.points.module import POINT_STRIDE

SIGMA_CELLS = 1.5
"""How fast the wanted score falls around a point: hands are no surer, and few cells learn slowly."""
REACH_CELLS = 5
"""Beyond this many cells the wanted score is 0."""
OFFSET_REACH_CELLS = 2.0
"""Cells so near to a point learn the way to it."""


@dataclass(frozen=True)
class PointTargets:
    """nearness float32 [N, L, H/4, W/4]: 1 at a point, falling to 0 around it.

    near int64 [P, 4]: image, label, row and column of the cells that learn the way to a point; offsets
    float32 [P, 2]: that way along x and y from the cell's centre, in cells.
    """

    nearness: Tensor
    near: Tensor
    offsets: Tensor

    def to(self, device: torch.device) -> PointTargets:
        """Return the same on another device."""
        nearness, near, offsets = (
            t.to(device, non_blocking=True) for t in (self.nearness, self.near, self.offsets)
        )
        return PointTargets(nearness, near, offsets)


def point_targets(
    shown: Sequence[Sequence[LabelledPoint]], size: ImageSize, label_count: int
) -> PointTargets:
    """Return what the points of a batch of views of one size teach."""
    rows, columns = size.height // POINT_STRIDE, size.width // POINT_STRIDE
    nearness = np.zeros((len(shown), label_count, rows, columns), np.float32)
    near: list[tuple[int, int, int, int]] = []
    offsets: list[tuple[float, float]] = []
    for number, points in enumerate(shown):
        for point in points:
            x, y = point.x_px / POINT_STRIDE - 0.5, point.y_px / POINT_STRIDE - 0.5
            _add_nearness(nearness[number, point.label_index], x, y)
            for row, column in _cells_about(x, y, rows, columns):
                near.append((number, point.label_index, row, column))
                offsets.append((x - column, y - row))
    return PointTargets(
        torch.from_numpy(nearness),
        torch.tensor(near, dtype=torch.int64).reshape(-1, 4),
        torch.tensor(offsets, dtype=torch.float32).reshape(-1, 2),
    )


def _add_nearness(heatmap: FloatArray, x: float, y: float) -> None:
    """Raise a heatmap [h, w] around (x, y), in cells; the centre of a cell has whole numbers."""
    rows, columns = heatmap.shape
    top, left = max(round(y) - REACH_CELLS, 0), max(round(x) - REACH_CELLS, 0)
    bottom, right = min(round(y) + REACH_CELLS + 1, rows), min(round(x) + REACH_CELLS + 1, columns)
    if bottom <= top or right <= left:
        return
    # The cell of a point wants a full score, wherever in it the point lies.
    down = np.maximum(np.abs(np.arange(top, bottom) - y) - 0.5, 0)
    along = np.maximum(np.abs(np.arange(left, right) - x) - 0.5, 0)
    squares = down[:, None] ** 2 + along[None, :] ** 2
    window = heatmap[top:bottom, left:right]
    np.maximum(window, np.exp(-squares / (2 * SIGMA_CELLS**2)), out=window)


def _cells_about(x: float, y: float, rows: int, columns: int) -> list[tuple[int, int]]:
    reach = int(np.ceil(OFFSET_REACH_CELLS))
    return [
        (row, column)
        for row in range(max(round(y) - reach, 0), min(round(y) + reach + 1, rows))
        for column in range(max(round(x) - reach, 0), min(round(x) + reach + 1, columns))
        if (row - y) ** 2 + (column - x) ** 2 <= OFFSET_REACH_CELLS**2
    ]
