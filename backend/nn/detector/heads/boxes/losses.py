"""What boxes and their labels are punished for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.nn.detector.heads.boxes.assignment import assign_task_aligned
from backend.nn.detector.heads.boxes.module import all_anchor_points
from backend.nn.detector.heads.head import LossContext
from backend.nn.runtime.torchvision_ops import torchvision_ops

NEGATIVE_WEIGHT = 0.75
"""How much background counts beside objects: alpha of VarifocalNet, eq. 2."""


@dataclass(frozen=True)
class BoxTargets:
    """The objects of a batch, image by image.

    boxes_xyxy_px [M_n, 4] in the net frame; labels int64 [R_n] and objects int64 [R_n]: each label of an
    object, and the number of the object; R_n is M_n where each object has one label.
    """

    boxes_xyxy_px: list[Tensor]
    labels: list[Tensor]
    objects: list[Tensor]

    def to(self, device: torch.device) -> BoxTargets:
        """Return the same on another device."""
        boxes, labels, objects = (
            [t.to(device, non_blocking=True) for t in tensors]
            for tensors in (self.boxes_xyxy_px, self.labels, self.objects)
        )
        return BoxTargets(boxes, labels, objects)


def varifocal_loss(logits: Tensor, targets: Tensor, label_weights: Tensor) -> Tensor:
    """Return the summed loss of class logits [.., L] against qualities 0..1 [.., L].

    Positives weigh by their quality (and by label_weights [L]), negatives by how wrong they are.
    Source: VarifocalNet, arXiv 2008.13367, eq. 2.
    """
    scores = logits.detach().sigmoid()
    is_positive = targets > 0
    weights = torch.where(is_positive, targets * label_weights, NEGATIVE_WEIGHT * scores.square())
    return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights).sum()


def detection_losses(
    logits: Tensor, boxes_xyxy_px: Tensor, targets: BoxTargets, context: LossContext
) -> dict[str, Tensor]:
    """Return `class` and `box`, both divided by the batch's summed quality (at least one).

    logits [N, P, L] and boxes [N, P, 4] in the net frame: as the module gives them.
    """
    points, strides = all_anchor_points(context.size_hw, logits.device)
    wanted = torch.zeros_like(logits)
    box_loss = boxes_xyxy_px.sum() * 0
    total_quality = logits.new_zeros(())
    scores = logits.detach().sigmoid()
    giou_loss = torchvision_ops().generalized_box_iou_loss
    for n, (object_boxes, labels, objects) in enumerate(
        zip(targets.boxes_xyxy_px, targets.labels, targets.objects, strict=True)
    ):
        has_label = logits.new_zeros(len(object_boxes), logits.shape[-1])
        has_label[objects, labels] = 1.0
        found = assign_task_aligned(
            scores[n],
            boxes_xyxy_px[n].detach(),
            points,
            strides,
            object_boxes,
            labels,
            objects,
            trust=context.trust,
        )
        cells = torch.nonzero(found.object_of_cell >= 0)[:, 0]
        owners, quality = found.object_of_cell[cells], found.quality[cells]
        wanted[n, cells] = quality[:, None] * has_label[owners]
        weights = quality * (has_label * context.label_weights).amax(dim=1)[owners]
        box_loss = box_loss + (giou_loss(boxes_xyxy_px[n, cells], object_boxes[owners]) * weights).sum()
        total_quality = total_quality + quality.sum()
    norm = total_quality.clamp(min=1.0)
    return {"class": varifocal_loss(logits, wanted, context.label_weights) / norm, "box": box_loss / norm}
