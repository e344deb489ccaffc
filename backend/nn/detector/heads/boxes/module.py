"""The detection head: class scores and boxes for every cell of three maps, without anchors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from backend.nn.detector.heads.head import Dimensions, FeatureMaps

DETECTION_STRIDES = (8, 16, 32)

TOWER_DEPTH = 2
PRIOR_SCORE = 0.01


class DetectionHead(nn.Module):
    """Two towers, shared by all levels, each level with its own normalisation.

    Source: RTMDet, arXiv 2212.07784, sec. 3.2 (shared convolutions, separate batch statistics).
    """

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        channels = dimensions.neck_channels
        levels = len(DETECTION_STRIDES)
        self.class_tower = nn.ModuleList(SharedConv(channels, levels) for _ in range(TOWER_DEPTH))
        self.box_tower = nn.ModuleList(SharedConv(channels, levels) for _ in range(TOWER_DEPTH))
        self.class_logits = nn.Conv2d(channels, dimensions.label_count, 1)
        self.box_logits = nn.Conv2d(channels, 4, 1)
        self._initialise()

    def _initialise(self) -> None:
        for conv in (self.class_logits, self.box_logits):
            nn.init.normal_(conv.weight, std=0.01)
        # Nearly every cell is background: start by saying so (RetinaNet, arXiv 1708.02002, sec. 3.3).
        _set_bias(self.class_logits, -math.log((1 - PRIOR_SCORE) / PRIOR_SCORE))
        # A level looks for objects of about six cells: sides start three strides away.
        _set_bias(self.box_logits, math.log(3.0))

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return `class_logits` [N, P, L] and `boxes_xyxy_px` [N, P, 4] in the net frame, float32.

        P runs over levels (finest first), rows, columns, as in `anchor_points`.
        """
        levels = [self.of_level(features, level) for level, features in enumerate(maps.fused)]
        return {name: torch.cat([one[name] for one in levels], dim=1) for name in levels[0]}

    def of_level(self, features: Tensor, level: int) -> dict[str, Tensor]:
        """Return the same of the cells of one level [N, C, h, w]."""
        class_features = box_features = features
        for conv in self.class_tower:
            class_features = conv(class_features, level)
        for conv in self.box_tower:
            box_features = conv(box_features, level)
        logits = cells_of(self.class_logits(class_features))
        sides = cells_of(self.box_logits(box_features))
        stride = DETECTION_STRIDES[level]
        points = anchor_points(features.shape[-2:], stride, features.device)
        return {
            "class_logits": logits,
            "boxes_xyxy_px": decode_ltrb(sides.clamp(max=6.0).exp(), points, stride),
        }


def cells_of(values: Tensor) -> Tensor:
    """Return a map [N, C, h, w] cell by cell, float32 [N, h * w, C]."""
    return values.flatten(2).transpose(1, 2).float()


def _set_bias(conv: nn.Conv2d, value: float) -> None:
    assert conv.bias is not None
    nn.init.constant_(conv.bias, value)


class SharedConv(nn.Module):
    """One convolution used by every level, followed by that level's own normalisation."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(levels))
        self.act = nn.SiLU(inplace=True)

    def forward(self, features: Tensor, level: int) -> Tensor:
        """Return the features [N, C, h, w] of a level, convolved."""
        return self.act(self.norms[level](self.conv(features)))


def anchor_points(size_hw: tuple[int, int] | torch.Size, stride: int, device: torch.device) -> Tensor:
    """Return the centres of a map's cells in the net frame, float32 [H * W, 2] as (x, y), row by row."""
    rows = (torch.arange(size_hw[0], device=device, dtype=torch.float32) + 0.5) * stride
    columns = (torch.arange(size_hw[1], device=device, dtype=torch.float32) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 2)


def all_anchor_points(size_hw: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return points_px [P, 2] and their strides [P] for a net input of this size."""
    points, strides = [], []
    for stride in DETECTION_STRIDES:
        level = anchor_points((size_hw[0] // stride, size_hw[1] // stride), stride, device)
        points.append(level)
        strides.append(torch.full((len(level),), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


def decode_ltrb(offsets: Tensor, points_px: Tensor, stride: int) -> Tensor:
    """Turn side distances into corner boxes in the net frame.

    offsets [N, P, 4] float >= 0: left, top, right, bottom in strides; points_px [P, 2] (x, y).
    Returns boxes_xyxy_px [N, P, 4]; P may be 0. Source: FCOS, arXiv 1904.01355, eq. 1.
    """
    distances = offsets * stride
    return torch.cat([points_px - distances[..., :2], points_px + distances[..., 2:]], dim=-1)
