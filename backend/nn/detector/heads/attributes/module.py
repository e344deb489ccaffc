"""A look at each region: what the maps show in and around its box, and how large it is in its image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.nn.detector.heads.answer_layout import Layout
from backend.nn.detector.heads.attributes.pooling import region_features
from backend.nn.detector.heads.fine import FineModule
from backend.nn.detector.heads.head import Dimensions, FeatureMaps, Outputs
from backend.nn.detector.neck import ConvNormAct

CELLS = 7
AROUND = 0.15
"""So much of its sides a region is looked at beyond its box: what occludes it, and what it lies on."""
WIDTH = 64
SIZE_WIDTH = 16
GROUPS = 8
DROPOUT = 0.2
COARSE_STRIDES = (16, 32)


class AttributesModule(FineModule):
    """Fine features for what is seen, coarse ones for what it is, and the size, which pooling loses."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__(dimensions)
        self.layout = Layout.of(dimensions.asked)
        channels = dimensions.mask_channels
        self.coarse = nn.ModuleList(
            ConvNormAct(dimensions.neck_channels, channels, kernel=1) for _ in COARSE_STRIDES
        )
        # Without padding: 7 x 7 cells become 5 x 5 and 3 x 3, so that places stay apart.
        self.closer = nn.Sequential(
            nn.Conv2d(channels, WIDTH, 3),
            nn.GroupNorm(GROUPS, WIDTH),
            nn.SiLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, 3),
            nn.GroupNorm(GROUPS, WIDTH),
            nn.SiLU(inplace=True),
        )
        self.size = nn.Sequential(nn.Linear(3, SIZE_WIDTH), nn.SiLU(inplace=True))
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(9 * WIDTH + SIZE_WIDTH, self.layout.slot_count)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return the features that regions are looked at in, at strides 4, 16 and 32."""
        outputs = {"attribute_features_4": self.fine_features(maps)}
        for stride, features, narrow in zip(COARSE_STRIDES, maps.fused[1:], self.coarse, strict=True):
            outputs[f"attribute_features_{stride}"] = narrow(features)
        return outputs

    def logits(self, outputs: Outputs, views: Tensor, boxes: Tensor, sides: Tensor) -> Tensor:
        """Return float32 [M, slots] of M regions.

        views int64 [M], boxes float32 [M, 4] as shares of the view, sides float32 [M, 2] as shares of the
        longer side of the image itself.
        """
        margin = (boxes[:, 2:] - boxes[:, :2]) * AROUND
        around = torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
        seen = sum(
            region_features(outputs[f"attribute_features_{stride}"], views, around, CELLS)
            for stride in (4, *COARSE_STRIDES)
        )
        assert isinstance(seen, Tensor)
        dtype = self.out.weight.dtype
        logs = sides.clamp(min=1e-3).log2()
        sizes = torch.stack([logs[:, 0], logs[:, 1], logs[:, 0] - logs[:, 1]], dim=1)
        joined = torch.cat([self.closer(seen.to(dtype)).flatten(1), self.size(sizes.to(dtype))], dim=1)
        with torch.autocast(joined.device.type, enabled=False):
            return F.linear(self.dropout(joined).float(), self.out.weight.float(), self.out.bias.float())
