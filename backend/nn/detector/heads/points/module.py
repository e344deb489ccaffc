"""The module of points: for every label how likely each place is one of its points, and where in its cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from backend.nn.detector.heads.fine import FineModule
from backend.nn.detector.heads.head import Dimensions, FeatureMaps, Outputs
from backend.nn.detector.neck import ConvNormAct

POINT_STRIDE = 4
OUTPUT_NAMES = ("point_logits", "point_offsets_x", "point_offsets_y")
PRIOR_LOGIT = -math.log(99.0)
"""Before anything is learned a cell is a point with a chance of one in a hundred."""


class PointsModule(FineModule):
    """A heatmap for each label, and the way from a cell to its point."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__(dimensions)
        channels = dimensions.mask_channels
        self.tower = ConvNormAct(channels, channels)
        self.point_logits = nn.Conv2d(channels, dimensions.label_count, 1)
        self.offsets_x = nn.Conv2d(channels, dimensions.label_count, 1)
        self.offsets_y = nn.Conv2d(channels, dimensions.label_count, 1)
        nn.init.normal_(self.point_logits.weight, std=0.01)
        for layer, bias in ((self.point_logits, PRIOR_LOGIT), (self.offsets_x, 0.0), (self.offsets_y, 0.0)):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, bias)

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return `point_logits`, and `point_offsets_x` and `_y` in cells, float32 [N, L, H/4, W/4]."""
        features = self.tower(self.fine_features(maps))
        return {
            "point_logits": self.point_logits(features).float(),
            "point_offsets_x": self.offsets_x(features).float(),
            "point_offsets_y": self.offsets_y(features).float(),
        }


def points_of_both(outputs: Outputs, mirrored: Outputs, mirrored_labels: Sequence[int]) -> dict[str, Tensor]:
    """Return the mean maps of images and of their mirror images.

    mirrored_labels: the index of the label that each is in a mirror.
    """
    index = torch.tensor(mirrored_labels, device=outputs[OUTPUT_NAMES[0]].device)
    there = {name: mirrored[name].flip(3).index_select(1, index) for name in OUTPUT_NAMES}
    there["point_offsets_x"] = -there["point_offsets_x"]
    return {name: (outputs[name] + there[name]) / 2 for name in OUTPUT_NAMES}
