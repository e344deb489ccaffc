"""The network: one backbone, a neck, a detection head and, if wanted, a segmentation head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from backend.nn.detector.backbone import Backbone
from backend.nn.detector.heads.boxes.assignment import assign_task_aligned
from backend.nn.detector.heads.boxes.losses import object_mask_loss, semantic_loss, varifocal_loss
from backend.nn.detector.heads.boxes.module import DetectionHead, all_anchor_points
from backend.nn.detector.heads.masks.module import SegmentationHead
from backend.nn.detector.neck import PathAggregationNeck, initialise_convolutions
from backend.nn.runtime.torchvision_ops import torchvision_ops


@dataclass(frozen=True)
class Architecture:
    """Everything that rebuilds a network, as it stands in a version's card.

    image_size_px: longest side of the input; canvas: "rect" (sides are multiples of 32) or "square".
    mean and std: per RGB channel on the scale 0..1.
    """

    backbone: str
    image_size_px: int
    label_count: int
    has_masks: bool
    canvas: str = "rect"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    neck_channels: int = 96
    mask_channels: int = 48

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_card(cls, values: Mapping[str, Any]) -> Architecture:
        """Read what `as_card` wrote. Raises KeyError or TypeError where it is something else."""
        read = {name: values[name] for name in cls.__dataclass_fields__}
        return cls(**{**read, "mean": tuple(read["mean"]), "std": tuple(read["std"])})


@dataclass(frozen=True)
class BatchTargets:
    """What a batch teaches; boxes in the net frame.

    boxes_xyxy_px and labels: per image [M_n, 4] and int64 [M_n]. windows and window_labels: per image, the
    windows whose object mask is known; window_masks: coverage 0..1 [sum, 28, 28] in the same order.
    semantic: uint8 [N, L, h, w] as in `semantic_loss`, or None where the network has no masks.
    """

    boxes_xyxy_px: list[Tensor]
    labels: list[Tensor]
    windows: list[Tensor] = field(default_factory=list)
    window_labels: list[Tensor] = field(default_factory=list)
    window_masks: Tensor | None = None
    semantic: Tensor | None = None

    def to(self, device: str | torch.device) -> BatchTargets:
        """Return the same on another device."""

        def move(tensors: list[Tensor]) -> list[Tensor]:
            return [t.to(device, non_blocking=True) for t in tensors]

        return BatchTargets(
            move(self.boxes_xyxy_px),
            move(self.labels),
            move(self.windows),
            move(self.window_labels),
            None if self.window_masks is None else self.window_masks.to(device, non_blocking=True),
            None if self.semantic is None else self.semantic.to(device, non_blocking=True),
        )


class InstanceNetwork(nn.Module):
    """Images in, class logits, boxes and mask maps out."""

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        """Build with random weights. Raises ParameterError for a backbone that cannot serve."""
        super().__init__()
        self.architecture = architecture
        self.backbone = Backbone(architecture.backbone, architecture.image_size_px)
        channels = self.backbone.channels
        self.neck = PathAggregationNeck(channels[1:], architecture.neck_channels)
        self.detection_head = DetectionHead(architecture.neck_channels, architecture.label_count)
        self.segmentation_head: SegmentationHead | None = None
        if architecture.has_masks:
            self.segmentation_head = SegmentationHead(
                channels[0],
                architecture.neck_channels,
                architecture.label_count,
                channels=architecture.mask_channels,
            )
        initialise_convolutions(self.neck)
        mean = torch.tensor(architecture.mean).view(1, 3, 1, 1) * 255
        std = torch.tensor(architecture.std).view(1, 3, 1, 1) * 255
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Turn uint8 [N, H, W, 3] into float32 [N, 3, H, W], channels last in memory."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Take normalised images [N, 3, H, W], 32 dividing H and W.

        Returns `class_logits` [N, P, L], `boxes_xyxy_px` [N, P, 4] and, with masks, `semantic`, `fine` and
        `coarse` as in SegmentationHead.
        """
        maps = self.backbone(images)
        fused = self.neck(maps[1:])
        logits, boxes = self.detection_head(fused)
        output = {"class_logits": logits, "boxes_xyxy_px": boxes}
        if self.segmentation_head is not None:
            output.update(self.segmentation_head(maps[0], fused))
        return output

    def losses(
        self,
        output: dict[str, Tensor],
        targets: BatchTargets,
        size_hw: tuple[int, int],
        label_weights: Tensor,
        *,
        trust: float,
    ) -> dict[str, Tensor]:
        """Return the parts of the loss: `class`, `box` and, with masks, `semantic` and `object`.

        size_hw: of the net input. trust: as in `assign_task_aligned`.
        """
        parts = detection_losses(output, targets, size_hw, label_weights, trust=trust)
        semantic, window_masks = targets.semantic, targets.window_masks
        if self.segmentation_head is not None and semantic is not None and window_masks is not None:
            parts["semantic"] = semantic_loss(output["semantic"], semantic)
            logits = self.segmentation_head.object_logits(output, targets.windows, targets.window_labels)
            parts["object"] = object_mask_loss(logits, window_masks)
        return parts


def detection_losses(
    output: dict[str, Tensor],
    targets: BatchTargets,
    size_hw: tuple[int, int],
    label_weights: Tensor,
    *,
    trust: float,
) -> dict[str, Tensor]:
    """Return `class` and `box`, both divided by the batch's summed quality (at least one)."""
    logits, boxes = output["class_logits"], output["boxes_xyxy_px"]
    points, strides = all_anchor_points(size_hw, logits.device)
    wanted = torch.zeros_like(logits)
    box_loss = boxes.sum() * 0
    total_quality = logits.new_zeros(())
    scores = logits.detach().sigmoid()
    giou_loss = torchvision_ops().generalized_box_iou_loss
    for n, (object_boxes, object_labels) in enumerate(
        zip(targets.boxes_xyxy_px, targets.labels, strict=True)
    ):
        found = assign_task_aligned(
            scores[n], boxes[n].detach(), points, strides, object_boxes, object_labels, trust=trust
        )
        cells = torch.nonzero(found.object_of_cell >= 0)[:, 0]
        owners, quality = found.object_of_cell[cells], found.quality[cells]
        wanted[n, cells, object_labels[owners]] = quality
        weights = quality * label_weights[object_labels[owners]]
        box_loss = box_loss + (giou_loss(boxes[n, cells], object_boxes[owners]) * weights).sum()
        total_quality = total_quality + quality.sum()
    norm = total_quality.clamp(min=1.0)
    return {"class": varifocal_loss(logits, wanted, label_weights) / norm, "box": box_loss / norm}
