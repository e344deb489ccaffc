"""A look at each region: what the maps show in and around its box, and how large it is in its image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.nn.detector.heads.answer_layout import Layout
from backend.nn.detector.heads.attributes.pooling import region_features
from backend.nn.detector.heads.head import Dimensions, FeatureMaps, Outputs

CELLS = 7
AROUND = 0.15
"""So much of its sides a region is looked at beyond its box: what occludes it, and what it lies on."""
WIDTH = 64
SIZE_STEPS = 13
"""Lengths that a side is compared with: 1/64 of the image's longer side to all of it, in equal ratios."""
SMALLEST_LOG = -6.0
GROUPS = 8
DROPOUT = 0.2
STRIDES = (4, 8, 16, 32)
OUTPUT_NAMES = tuple(f"attribute_features_{stride}" for stride in STRIDES)


class AttributesModule(nn.Module):
    """Fine maps for what is seen, coarse ones for what it is, and the size, which pooling loses.

    Nothing is computed but in the regions themselves, so that a head more costs next to no time.
    """

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        self.layout = Layout.of(dimensions.asked)
        channels = dimensions.fine_channels + (len(STRIDES) - 1) * dimensions.neck_channels
        # Without padding: 7 x 7 cells become 5 x 5 and 3 x 3, so that places stay apart.
        layers = [_layer(channels, 1), _layer(WIDTH, 3), _layer(WIDTH, 3)]
        self.closer = nn.Sequential(*(part for layer in layers for part in layer))
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(9 * WIDTH + 2 * SIZE_STEPS, self.layout.slot_count)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return the maps that regions are looked at in, as they are."""
        return dict(zip(OUTPUT_NAMES, (maps.fine, *maps.fused), strict=True))

    def logits(self, outputs: Outputs, views: Tensor, boxes: Tensor, sides: Tensor) -> Tensor:
        """Return float32 [M, slots] of M regions.

        views int64 [M], boxes float32 [M, 4] as shares of the view, sides float32 [M, 2] as shares of the
        longer side of the image itself.
        """
        margin = (boxes[:, 2:] - boxes[:, :2]) * AROUND
        around = torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
        seen = [region_features(outputs[name], views, around, CELLS) for name in OUTPUT_NAMES]
        dtype = self.out.weight.dtype
        looked_at = self.closer(torch.cat(seen, dim=1).to(dtype)).flatten(1)
        with torch.autocast(looked_at.device.type, enabled=False):
            joined = torch.cat([self.dropout(looked_at.float()), size_code(sides)], dim=1)
            return F.linear(joined, self.out.weight.float(), self.out.bias.float())


def size_code(sides: Tensor) -> Tensor:
    """Return how near sides [M, 2] are to each of SIZE_STEPS lengths, float32 [M, 2 * SIZE_STEPS], 0 to 1."""
    lengths = torch.linspace(SMALLEST_LOG, 0.0, SIZE_STEPS, device=sides.device)
    apart = (sides.clamp(min=2**SMALLEST_LOG).log2()[:, :, None] - lengths) / (
        -SMALLEST_LOG / (SIZE_STEPS - 1)
    )
    return (-(apart**2)).exp().flatten(1)


def _layer(channels: int, kernel: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    # Normalised by group: a batch may show a single region.
    return nn.Conv2d(channels, WIDTH, kernel), nn.GroupNorm(GROUPS, WIDTH), nn.SiLU(inplace=True)
