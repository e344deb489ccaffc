"""What a window shows, as numbers: features at a grid of points that moves and grows with it.

A linear function of descriptors needs none of them for all windows of a picture: the features of each cell
are weighed first, once for each point of the grid, and what the points give is added up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.core.geometry.instances import FloatArray
from backend.nn.by_example.features import STRIDE_PX

GRID = 4
REACH = 1.25
"""Side of the grid over that of the window: a thing is known by its border too."""
WIDTH = 96
"""Channels that are left of the features."""
_SHRINKAGE = 0.5
"""How much of the mean variance is added to each channel's, so that the faintest are not blown up."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """Features as their uncorrelated parts of about equal size, float kernel [WIDTH, C] and shift [WIDTH]."""

    kernel: Tensor
    shift: Tensor

    @classmethod
    def of(cls, cells: Tensor) -> Whitening:
        """Measure the features of many cells, float [C, N]."""
        mean, deviation = cells.mean(dim=1, keepdim=True), cells.std(dim=1, keepdim=True) + 1e-3
        normal = (cells - mean) / deviation
        variances, directions = torch.linalg.eigh(normal @ normal.T / normal.shape[1])
        sizes = torch.sqrt(variances[-WIDTH:].clamp(min=0) + _SHRINKAGE * variances.mean())
        kernel = (directions[:, -WIDTH:] / sizes).T / deviation.T
        return cls(kernel, (kernel @ mean)[:, 0])

    def apply(self, features: Tensor) -> Tensor:
        """Return float [WIDTH, h, w] of features [C, h, w]."""
        flat = self.kernel @ features.flatten(1) - self.shift[:, None]
        return flat.view(WIDTH, *features.shape[1:])


def descriptors(features: Tensor, windows_xyxy_px: FloatArray) -> Tensor:
    """Return float [N, GRID * GRID * WIDTH] of windows [N, 4] in the picture of features [WIDTH, h, w]."""
    centres = (windows_xyxy_px[:, :2] + windows_xyxy_px[:, 2:]) / 2
    sides = windows_xyxy_px[:, 2:] - windows_xyxy_px[:, :2]
    points = (centres[:, None] + _grid()[None] * sides[:, None]) / STRIDE_PX
    sampled = _sampled(features[None], torch.from_numpy(points)[None])
    return sampled[0].permute(1, 2, 0).flatten(1)


def responses(features: Tensor, kernel: Tensor, sides_px: FloatArray) -> Tensor:
    """Return what a linear function makes of the window around each cell, float [h * w, K].

    features [WIDTH, h, w]; kernel [GRID * GRID * WIDTH, K]; sides_px: width and height of the windows [2].
    """
    rows, columns = features.shape[1:]
    weighed = torch.einsum("pck,chw->pkhw", kernel.view(GRID * GRID, WIDTH, -1), features)
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    shifts = torch.from_numpy(_grid() * sides_px / STRIDE_PX)
    points = torch.stack([x, y], dim=-1)[None] + shifts[:, None, None]
    return _sampled(weighed, points).sum(dim=0).flatten(1).T


def _grid() -> FloatArray:
    """Return the points of the grid (x, y) as shares of the window's sides off its centre, [GRID ** 2, 2]."""
    along = ((np.arange(GRID) + 0.5) / GRID - 0.5) * REACH
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2).astype(np.float32)


def _sampled(maps: Tensor, points_xy: Tensor) -> Tensor:
    """Return maps [B, K, h, w] at points [B, n, m, 2], in cells whose first has its centre at 0.5."""
    rows, columns = maps.shape[2:]
    normal = points_xy / torch.tensor([columns, rows]) * 2 - 1
    return functional.grid_sample(maps, normal, padding_mode="border", align_corners=False)


def cells_of(maps: Sequence[Tensor], most: int) -> Tensor:
    """Return cells of feature maps [C, h, w], evenly picked, as [C, N]; about `most` of each map."""
    return torch.cat([one.flatten(1)[:, :: max(1, one[0].numel() // most)] for one in maps], dim=1)
