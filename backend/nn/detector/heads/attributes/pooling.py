"""Features of regions: maps sampled on a grid in each box."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLES_PER_CELL = 2


def region_features(features: Tensor, views: Tensor, boxes: Tensor, cells: int) -> Tensor:
    """Return float32 [M, C, cells, cells] of a map [N, C, h, w] in M boxes.

    views int64 [M]: of which image each box is. boxes float32 [M, 4]: x1, y1, x2, y2 as shares of the image.
    Beyond the image lie zeros. Source: RoIAlign, arXiv 1703.06870, sec. 3; written with `grid_sample`, which
    needs no compiled operator of torchvision.
    """
    count = cells * SAMPLES_PER_CELL
    along = (torch.arange(count, device=boxes.device, dtype=torch.float32) + 0.5) / count
    x = boxes[:, 0, None] + along * (boxes[:, 2] - boxes[:, 0])[:, None]
    y = boxes[:, 1, None] + along * (boxes[:, 3] - boxes[:, 1])[:, None]
    # From shares to the range of grid_sample: -1 and 1 are the image's edges.
    grid = (
        torch.stack([x[:, None, :].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)], dim=-1)
        .mul(2)
        .sub(1)
    )
    sampled = features.new_zeros((len(boxes), features.shape[1], count, count), dtype=torch.float32)
    images = features.split(1)  # whose gradients are joined once, those of slices one by one
    for view in views.unique().tolist():
        mine = views == view
        of_view = grid[mine].reshape(1, -1, count, 2)
        rows = F.grid_sample(images[view].float(), of_view, align_corners=False)
        sampled[mine] = rows[0].unflatten(1, (-1, count)).transpose(0, 1)
    return F.avg_pool2d(sampled, SAMPLES_PER_CELL)
