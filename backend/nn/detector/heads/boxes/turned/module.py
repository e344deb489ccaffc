"""The detection head with one more branch: how the rectangle in each box is turned."""

from __future__ import annotations

from torch import Tensor, nn

from backend.nn.detector.heads.boxes.module import DETECTION_STRIDES, DetectionHead, SharedConv, cells_of
from backend.nn.detector.heads.boxes.turned.coding import CODE_LENGTH
from backend.nn.detector.heads.head import Dimensions


class TurnedDetectionHead(DetectionHead):
    """Scores and boxes as without it, so that weights learned upright can start it."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__(dimensions)
        channels = dimensions.neck_channels
        self.turn_conv = SharedConv(channels, len(DETECTION_STRIDES))
        self.turn_codes = nn.Conv2d(channels, CODE_LENGTH, 1)
        nn.init.normal_(self.turn_codes.weight, std=0.01)
        assert self.turn_codes.bias is not None
        nn.init.zeros_(self.turn_codes.bias)

    def of_level(self, features: Tensor, level: int) -> dict[str, Tensor]:
        """Return also `turn_codes` [N, h * w, 4], as in `coding`."""
        codes = cells_of(self.turn_codes(self.turn_conv(features, level)))
        return {**super().of_level(features, level), "turn_codes": codes}
