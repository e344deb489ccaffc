"""Features at a quarter of the resolution, for heads that look closely."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from backend.nn.detector.heads.head import Dimensions, FeatureMaps
from backend.nn.detector.neck import ConvNormAct


class FineModule(nn.Module):
    """The backbone's finest map, joined with the neck's finest."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        channels = dimensions.mask_channels
        self.lateral = ConvNormAct(dimensions.fine_channels, channels, kernel=1)
        self.from_neck = ConvNormAct(dimensions.neck_channels, channels, kernel=1)
        self.fuse = ConvNormAct(channels, channels)

    def fine_features(self, maps: FeatureMaps) -> Tensor:
        """Return features [N, mask_channels, H/4, W/4]."""
        coarse = self.from_neck(maps.fused[0])
        up = F.interpolate(coarse, size=maps.fine.shape[-2:], mode="bilinear", align_corners=False)
        features: Tensor = self.fuse(self.lateral(maps.fine) + up)
        return features
