"""A timm network as a pyramid: maps at strides 4, 8, 16 and 32, whatever strides the network has itself."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from backend.errors import ParameterError
from backend.nn.detector.backbone_catalog import validate_backbone
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

PYRAMID_STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module):
    """Four feature maps, finest first, of `channels` each.

    needs_square: the network was built for one square input size (windows, position embeddings) and takes
    no other; the rest take any size that 32 divides.
    """

    def __init__(self, name: str, image_size_px: int) -> None:
        """Build the named network with random weights. Raises ParameterError where timm has none such."""
        super().__init__()
        self.name = name
        self.body: Any
        self.body, self.needs_square = _create_features(name, image_size_px)
        reductions, widths = self.body.feature_info.reduction(), self.body.feature_info.channels()
        # Of several maps with one stride (ViT: all of them) the deepest knows most.
        deepest = {stride: i for i, stride in enumerate(reductions)}
        self._sources = [deepest[min(deepest, key=lambda s: (abs(s - t), -s))] for t in PYRAMID_STRIDES]
        self._source_strides = [reductions[i] for i in self._sources]
        self.channels = tuple(widths[i] for i in self._sources)
        self._map_widths = tuple(widths)
        self.resamplers = nn.ModuleList(
            _Resample(width, source, target)
            for width, source, target in zip(
                self.channels, self._source_strides, PYRAMID_STRIDES, strict=True
            )
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images [N, 3, H, W] (32 divides H and W) to four maps [N, C, H/stride, W/stride]."""
        maps = self.body(images)
        maps = [_to_nchw(m, width) for m, width in zip(maps, self._map_widths, strict=True)]
        return [resample(maps[i]) for i, resample in zip(self._sources, self.resamplers, strict=True)]


class _Resample(nn.Module):
    """Bring a map from one stride to another; nothing where they are equal."""

    def __init__(self, channels: int, source_stride: int, target_stride: int) -> None:
        super().__init__()
        self.factor = source_stride / target_stride
        self.conv: nn.Module = nn.Identity()
        if source_stride != target_stride:
            step = max(target_stride // source_stride, 1)
            self.conv = nn.Sequential(
                nn.Conv2d(channels, channels, 3, stride=step, padding=1, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, features: Tensor) -> Tensor:
        if self.factor > 1:
            features = F.interpolate(features, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return self.conv(features)


def import_timm() -> None:
    """Import the library of backbones, a second or two; the first network that is built needs it."""
    ensure_torchvision_ops()
    import timm  # noqa: F401


def _create_features(name: str, image_size_px: int) -> tuple[nn.Module, bool]:
    validate_backbone(name)
    ensure_torchvision_ops()
    import timm

    try:
        try:
            body = timm.create_model(name, features_only=True, pretrained=False, img_size=image_size_px)
            return body, True
        except TypeError:  # takes no img_size: convolutional, any input will do
            return timm.create_model(name, features_only=True, pretrained=False), False
    except (RuntimeError, AttributeError, AssertionError, NotImplementedError) as exc:
        raise ParameterError(
            f"backbone {name!r} gives no feature maps at {image_size_px} px ({exc}); choose another",
            field="backbone",
        ) from exc


def _to_nchw(features: Tensor, channels: int) -> Tensor:
    """Return [N, C, H, W]; Swin and its kin give [N, H, W, C]."""
    is_channels_last_layout = features.shape[-1] == channels and features.shape[1] != channels
    return features.permute(0, 3, 1, 2) if is_channels_last_layout else features


def normalisation_of(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std per RGB channel (0..1) that the network's ImageNet weights were trained with."""
    ensure_torchvision_ops()
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None:
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return tuple(config.mean), tuple(config.std)
