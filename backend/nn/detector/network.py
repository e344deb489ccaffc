"""The network: one backbone, a neck, and the module of each head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from backend.nn.detector.architecture import Architecture
from backend.nn.detector.backbone import Backbone
from backend.nn.detector.heads.head import AnyHead, Dimensions, FeatureMaps, LossContext, Outputs
from backend.nn.detector.neck import PathAggregationNeck, initialise_convolutions


class InstanceNetwork(nn.Module):
    """Images in, what each head makes of them out."""

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        """Build with random weights. Raises ParameterError for a backbone that cannot serve."""
        super().__init__()
        self.architecture = architecture
        self.backbone = Backbone(architecture.backbone, architecture.image_size_px)
        channels = self.backbone.channels
        self.neck: PathAggregationNeck | None = None
        if any(head.uses_neck for head in architecture.heads):
            self.neck = PathAggregationNeck(channels[1:], architecture.neck_channels)
        dimensions = Dimensions(
            fine_channels=channels[0],
            neck_channels=architecture.neck_channels,
            mask_channels=architecture.mask_channels,
            label_count=architecture.label_count,
            deep_channels=channels[1:],
        )
        for head in architecture.heads:
            asked = architecture.asked.get(head.name, {})
            self.add_module(head.module_name, head.build(replace(dimensions, asked=asked)))
        if self.neck is not None:
            initialise_convolutions(self.neck)
        mean = torch.tensor(architecture.mean).view(1, 3, 1, 1) * 255
        std = torch.tensor(architecture.std).view(1, 3, 1, 1) * 255
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def module_of(self, head: AnyHead) -> nn.Module:
        """Return the module of one of the architecture's heads."""
        return self.get_submodule(head.module_name)

    @property
    def label_parameters(self) -> frozenset[str]:
        """The names of the parameters of which each row belongs to one label."""
        heads = self.architecture.heads
        return frozenset(f"{head.module_name}.{name}" for head in heads for name in head.label_parameters)

    @property
    def asked_parameters(self) -> frozenset[str]:
        """The names of the parameters that fit only what the labeling config asked of their head."""
        heads = self.architecture.heads
        return frozenset(f"{head.module_name}.{name}" for head in heads for name in head.asked_parameters)

    def normalise(self, images: Tensor) -> Tensor:
        """Turn uint8 [N, H, W, 3] into float32 [N, 3, H, W], channels last in memory."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs of all heads by name, of normalised images [N, 3, H, W]; 32 divides H and W."""
        maps = self.backbone(images)
        features = FeatureMaps(maps[0], maps[1:], [] if self.neck is None else self.neck(maps[1:]))
        outputs: dict[str, Tensor] = {}
        for head in self.architecture.heads:
            outputs.update(self.module_of(head)(features))
        return outputs

    def losses(self, outputs: Outputs, targets: Mapping[str, Any], context: LossContext) -> dict[str, Tensor]:
        """Return the parts of the loss of all heads by name; targets: by the name of the head."""
        parts: dict[str, Tensor] = {}
        for head in self.architecture.heads:
            parts.update(head.losses(self.module_of(head), outputs, targets[head.name], context))
        return parts
