"""What boxes and their labels are punished for."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Learners:
    """Which cells of one image learn: cells int64 [K], owners int64 [K]: the object of each, quality [K].

    has_label [M, L]: 1 where an object has a label.
    """

    cells: Tensor
    owners: Tensor
    quality: Tensor
    has_label: Tensor


def learners_of(
    logits: Tensor, boxes_xyxy_px: Tensor, targets: BoxTargets, context: LossContext
) -> list[Learners]:
    """Return which cells of each image learn, by logits [N, P, L] and boxes [N, P, 4] as the module gives."""
    points, strides = all_anchor_points(context.size_hw, logits.device)
    scores = logits.detach().sigmoid()
    learners = []
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
        learners.append(Learners(cells, found.object_of_cell[cells], found.quality[cells], has_label))
    return learners


def detection_losses(
    logits: Tensor,
    boxes_xyxy_px: Tensor,
    targets: BoxTargets,
    context: LossContext,
    learners: Sequence[Learners],
) -> dict[str, Tensor]:
    """Return `class` and `box`, both divided by the batch's summed quality (at least one).

    logits [N, P, L] and boxes [N, P, 4] in the net frame: as the module gives them.
    """
    wanted = torch.zeros_like(logits)
    box_loss = boxes_xyxy_px.sum() * 0
    giou_loss = torchvision_ops().generalized_box_iou_loss
    for n, (one, object_boxes) in enumerate(zip(learners, targets.boxes_xyxy_px, strict=True)):
        wanted[n, one.cells] = one.quality[:, None] * one.has_label[one.owners]
        weights = one.quality * (one.has_label * context.label_weights).amax(dim=1)[one.owners]
        learned = boxes_xyxy_px[n, one.cells]
        box_loss = box_loss + (giou_loss(learned, object_boxes[one.owners]) * weights).sum()
    norm = total_quality(learners, logits)
    return {"class": varifocal_loss(logits, wanted, context.label_weights) / norm, "box": box_loss / norm}


def total_quality(learners: Sequence[Learners], like: Tensor) -> Tensor:
    """Return the summed quality of the cells of a batch, at least one, by which losses are divided."""
    total = like.new_zeros(())
    for one in learners:
        total = total + one.quality.sum()
    return total.clamp(min=1.0)
