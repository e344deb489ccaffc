"""A look at the whole image: what its maps show on average, at their strongest, and where it matters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.nn.detector.heads.answer_layout import Layout
from backend.nn.detector.heads.head import Dimensions, FeatureMaps, Outputs
from backend.nn.detector.neck import ConvNormAct

CHANNELS = 128
DROPOUT = 0.2
LEVELS = (8, 16, 32)
"""Strides of the backbone's maps that are looked at: small things show in fine ones alone."""
OUTPUT_NAMES = tuple(f"choice_{what}_{stride}" for stride in LEVELS for what in ("features", "places"))


class ChoicesModule(nn.Module):
    """Pools maps over the area of an image in its view, so that padding and neighbours have no say."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__()
        self.layout = Layout.of(dimensions.asked)
        self.laterals = nn.ModuleList(
            ConvNormAct(width, CHANNELS, kernel=1) for width in dimensions.deep_channels
        )
        self.attention = nn.ModuleList(nn.Conv2d(CHANNELS, 1, 1) for _ in dimensions.deep_channels)
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(2 * CHANNELS * len(dimensions.deep_channels), self.layout.slot_count)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return of each level its features and where it matters."""
        outputs: dict[str, Tensor] = {}
        for stride, features, lateral, attention in zip(
            LEVELS, maps.deep, self.laterals, self.attention, strict=True
        ):
            narrow = lateral(features)
            outputs[f"choice_features_{stride}"] = narrow
            outputs[f"choice_places_{stride}"] = attention(narrow)
        return outputs

    def logits(self, outputs: Outputs, views: Tensor, areas_xyxy: Tensor) -> Tensor:
        """Return float32 [M, slots] of M images; views int64 [M], areas as shares of the view [M, 4]."""
        pooled = []
        for stride in LEVELS:
            features = outputs[f"choice_features_{stride}"][views].float()
            places = outputs[f"choice_places_{stride}"][views].float()
            covered = coverage(areas_xyxy, features.shape[-2], features.shape[-1])
            weights = covered / covered.sum(dim=(1, 2), keepdim=True)
            pooled.append(torch.einsum("mchw,mhw->mc", features, weights))
            attended = (places[:, 0] + covered.clamp(min=1e-6).log()).flatten(1).softmax(dim=1)
            pooled.append(torch.einsum("mcp,mp->mc", features.flatten(2), attended))
        joined = self.dropout(torch.cat(pooled, dim=1))
        with torch.autocast(joined.device.type, enabled=False):
            return F.linear(joined, self.out.weight.float(), self.out.bias.float())


def coverage(areas_xyxy: Tensor, height: int, width: int) -> Tensor:
    """Return how far areas, shares of a view [M, 4], cover the cells of a map, float32 [M, height, width].

    At least one cell is covered by each.
    """
    left, top, right, bottom = areas_xyxy.unbind(dim=1)
    columns = _overlap(left * width, right * width, width)
    rows = _overlap(top * height, bottom * height, height)
    covered = rows[:, :, None] * columns[:, None, :]
    return covered.clamp(min=1e-6)


def _overlap(start: Tensor, end: Tensor, count: int) -> Tensor:
    cells = torch.arange(count, device=start.device, dtype=torch.float32)[None]
    return (torch.minimum(end[:, None], cells + 1) - torch.maximum(start[:, None], cells)).clamp(0, 1)
