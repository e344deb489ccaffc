"""The module of masks: where each label is, and which pixels belong to one object.

Two views of one fine map (stride 4) are added: semantic logits, sharp but blind to objects, and object
logits, computed in the frame of one box, which tell a pedestrian from the neighbour that touches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.nn.detector.heads.head import Dimensions, FeatureMaps, Outputs
from backend.nn.detector.heads.semantic import MASK_STRIDE, SemanticModule
from backend.nn.detector.neck import ConvNormAct

OBJECT_MASK_SIDE = 28
# The window an object mask looks at, relative to its box: room to mend a box that is too tight.
WINDOW_SCALE = 1.25


class MasksModule(SemanticModule):
    """Fine features, semantic logits and object logits."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__(dimensions)
        channels = dimensions.mask_channels
        self.context = ConvNormAct(dimensions.neck_channels, channels, kernel=1)
        self.object_tower = ObjectMaskTower(2 * channels)

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return what SemanticModule does, and `coarse` features [N, C, H/8, W/8]."""
        return {**super().forward(maps), "coarse": self.context(maps.fused[0])}

    def object_logits(self, maps: Outputs, windows: list[Tensor], labels: list[Tensor]) -> Tensor:
        """Return mask logits [M, 28, 28] of all windows, image by image, semantic logits included.

        windows: per image boxes_xyxy_px [K, 4] in the net frame, already widened by `mask_windows`;
        labels: per image int64 [K]. M may be 0.
        """
        semantic = sample_windows(maps["semantic"], windows, MASK_STRIDE, OBJECT_MASK_SIDE)
        index = torch.cat(labels)[:, None, None, None].expand(-1, 1, OBJECT_MASK_SIDE, OBJECT_MASK_SIDE)
        return self.window_residuals(maps["fine"], maps["coarse"], windows) + semantic.gather(1, index)[:, 0]

    def window_residuals(
        self, fine_map: Tensor, coarse_map: Tensor, windows: list[Tensor], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Return what the frame of each box adds to the semantic logits, float32 [M, 28, 28].

        dtype: of the head's weights.
        """
        half = OBJECT_MASK_SIDE // 2
        fine = F.avg_pool2d(sample_windows(fine_map, windows, MASK_STRIDE, OBJECT_MASK_SIDE), 2)
        coarse = sample_windows(coarse_map, windows, 2 * MASK_STRIDE, half)
        return self.object_tower(torch.cat([fine, coarse], dim=1).to(dtype)).float()


class ObjectMaskTower(nn.Module):
    """A few convolutions in the frame of one box; coordinates let it learn the usual outline."""

    grid: Tensor

    def __init__(self, in_channels: int, channels: int = 64) -> None:
        super().__init__()
        half = OBJECT_MASK_SIDE // 2
        axis = (torch.arange(half, dtype=torch.float32) + 0.5) / half * 2 - 1
        grid_y, grid_x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("grid", torch.stack([grid_x, grid_y])[None], persistent=False)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels + 2, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(inplace=True),
            nn.ConvTranspose2d(channels, channels // 2, 2, stride=2),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels // 2, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [M, C, 14, 14] to [M, 28, 28]."""
        if not len(features):
            return features.new_zeros((0, OBJECT_MASK_SIDE, OBJECT_MASK_SIDE)) + 0 * sum(
                p.sum() for p in self.parameters()
            )
        grid = self.grid.expand(len(features), -1, -1, -1).to(features.dtype)
        return self.layers(torch.cat([features, grid], dim=1))[:, 0]


def mask_windows(boxes_xyxy_px: Tensor) -> Tensor:
    """Widen boxes [K, 4] about their centre to the windows that object masks cover."""
    centres = (boxes_xyxy_px[:, :2] + boxes_xyxy_px[:, 2:]) / 2
    halves = (boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]).clamp(min=1.0) * (WINDOW_SCALE / 2)
    return torch.cat([centres - halves, centres + halves], dim=1)


def windows_mirrored(windows: list[Tensor], fine_map: Tensor) -> list[Tensor]:
    """Return where windows [K, 4] lie in the mirrored images; fine_map: the images' map at stride 4."""
    width_px = MASK_STRIDE * fine_map.shape[-1]
    return [
        torch.stack([width_px - right, top, width_px - left, bottom], dim=1)
        for left, top, right, bottom in (boxes.unbind(dim=1) for boxes in windows)
    ]


def sample_windows(features: Tensor, windows: list[Tensor], stride: int, side: int) -> Tensor:
    """Read a map at `side` x `side` bilinear points of every window.

    features [N, C, h, w]; windows: per image boxes_xyxy_px [K_n, 4] in the net frame. Points outside the
    map read its border. Returns float32 [sum K_n, C, side, side].
    """
    height, width = features.shape[-2:]
    steps = (torch.arange(side, device=features.device, dtype=torch.float32) + 0.5) / side
    out = []
    for single, boxes in zip(features, windows, strict=True):
        if not len(boxes):
            out.append(features.new_zeros((0, features.shape[1], side, side), dtype=torch.float32))
            continue
        spans = boxes[:, 2:] - boxes[:, :2]
        xs = boxes[:, None, 0] + steps * spans[:, None, 0]
        ys = boxes[:, None, 1] + steps * spans[:, None, 1]
        grid_x = (xs / (stride * width) * 2 - 1)[:, None, :].expand(-1, side, -1)
        grid_y = (ys / (stride * height) * 2 - 1)[:, :, None].expand(-1, -1, side)
        grid = torch.stack([grid_x, grid_y], dim=-1).reshape(1, len(boxes) * side, side, 2)
        # As it lies, channels last or not: reading few windows costs less than turning the whole map.
        read = F.grid_sample(single[None].float(), grid, padding_mode="border", align_corners=False)
        out.append(read[0].reshape(-1, len(boxes), side, side).transpose(0, 1))
    return torch.cat(out)
