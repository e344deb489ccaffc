"""Assignment: which cells learn which object."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.nn.runtime.torchvision_ops import torchvision_ops

# An object best fits the level where it is this many cells large.
CELLS_PER_OBJECT = 6.0

CELLS_CHOSEN = 10
"""So many cells learn an object at most."""
SCORE_POWER, IOU_POWER = 0.5, 4.0
"""How much score and overlap count in the choice of cells: alpha and beta of TOOD, sec. 3.2."""


@dataclass(frozen=True)
class Assignment:
    """What the cells of one image learn.

    object_of_cell int64 [P]: index of the object, -1 for background; quality float [P] in 0..1: the class
    score to learn there (0 for background).
    """

    object_of_cell: Tensor
    quality: Tensor


@torch.no_grad()
def assign_task_aligned(
    scores: Tensor,
    boxes_xyxy_px: Tensor,
    points_px: Tensor,
    strides: Tensor,
    object_boxes_xyxy_px: Tensor,
    labels: Tensor,
    objects: Tensor,
    *,
    trust: float,
) -> Assignment:
    """Give every object the cells that predict it best already.

    scores [P, L] and boxes [P, 4] are the network's present output; points_px [P, 2], strides [P];
    object boxes [M, 4], M may be 0; labels [R] and objects [R]: the labels that objects have, and whose each
    is. An object with several counts with the mean of their scores. trust 0..1: how far the output counts; a
    network that has learned nothing yet ranks cells at random, so at 0 closeness to the centre and fit of the
    level decide.
    Source: TOOD, arXiv 2108.07755, sec. 3.2; the blend with a prior is ours, after RTMDet's soft centre.
    """
    cell_count = len(points_px)
    if not len(object_boxes_xyxy_px):
        background = torch.full((cell_count,), -1, dtype=torch.int64, device=points_px.device)
        return Assignment(background, points_px.new_zeros(cell_count))
    prior = _prior_log(points_px, strides, object_boxes_xyxy_px)
    iou = torchvision_ops().box_iou(object_boxes_xyxy_px, boxes_xyxy_px)
    score_by_label = scores[:, labels].T
    own_scores = scores.new_zeros(iou.shape).scatter_reduce_(
        0, objects[:, None].expand_as(score_by_label), score_by_label, "mean", include_self=False
    )
    own_scores = own_scores.clamp(min=1e-4)
    aligned = SCORE_POWER * own_scores.log() + IOU_POWER * iou.clamp(min=1e-3).log()
    metric = trust * aligned + max(1 - trust, 0.15) * prior

    candidates = _is_inside(points_px, object_boxes_xyxy_px)
    # An object that lies between the points still gets its nearest cell.
    nearest = prior.argmax(dim=1)
    candidates[torch.arange(len(nearest), device=nearest.device), nearest] = True
    metric = metric.masked_fill(~candidates, -1e4)
    best = metric.topk(min(CELLS_CHOSEN, cell_count), dim=1)
    chosen = torch.zeros_like(candidates).scatter_(1, best.indices, True) & candidates

    # A cell wanted twice goes to the object it overlaps most.
    contest = (trust * iou + (1 - trust) * prior.exp()).masked_fill(~chosen, -1.0)
    value, owner = contest.max(dim=0)
    object_of_cell = torch.where(value >= 0, owner, -1)
    return Assignment(object_of_cell, _quality(object_of_cell, metric, iou, trust))


def _prior_log(points_px: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """Return log closeness [M, P]: 0 at the centre of an object whose size fits the level."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0)
    offset = (points_px[None] - centres[:, None]) / (sides[:, None] / 2)
    side = sides.prod(dim=1).sqrt()
    level_miss = torch.log2(side[:, None] / (CELLS_PER_OBJECT * strides[None]))
    # Nothing is too large for the coarsest level nor too small for the finest.
    level_miss = torch.where((strides[None] == strides.max()) & (level_miss > 0), 0.0, level_miss)
    level_miss = torch.where((strides[None] == strides.min()) & (level_miss < 0), 0.0, level_miss)
    return -(2 * offset.square().sum(dim=-1) + level_miss.square())


def _is_inside(points_px: Tensor, boxes: Tensor) -> Tensor:
    low = points_px[None] - boxes[:, None, :2]
    high = boxes[:, None, 2:] - points_px[None]
    return (torch.minimum(low, high) > 0).all(dim=-1)


def _quality(object_of_cell: Tensor, metric: Tensor, iou: Tensor, trust: float) -> Tensor:
    cells = torch.nonzero(object_of_cell >= 0)[:, 0]
    owners = object_of_cell[cells]
    own_metric, own_iou = metric[owners, cells], iou[owners, cells]
    count = len(metric)
    best_metric = metric.new_full((count,), -1e4).scatter_reduce_(0, owners, own_metric, "amax")
    best_iou = iou.new_zeros(count).scatter_reduce_(0, owners, own_iou, "amax")
    # Boxes that fit nothing yet would teach a score of zero: ask for some confidence meanwhile.
    best_iou = torch.maximum(best_iou, best_iou.new_tensor(0.6 * (1 - trust)))
    quality = metric.new_zeros(len(object_of_cell))
    quality[cells] = (own_metric - best_metric[owners]).exp() * best_iou[owners]
    return quality
