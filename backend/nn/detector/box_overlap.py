"""How much boxes overlap, on tensors. All boxes are corners, half-open, in one common frame."""

from __future__ import annotations

import torch
from torch import Tensor


def pairwise_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Return the IoU of each box of [A, 4] with each of [B, 4], float [A, B]; A or B may be 0."""
    low = torch.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    high = torch.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    union = _areas(boxes_a)[:, None] + _areas(boxes_b)[None, :] - overlap
    return overlap / union.clamp(min=1e-6)


def generalised_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Return the GIoU (-1..1) of boxes [K, 4] with their counterparts [K, 4].

    Source: arXiv 1902.09630, algorithm 1.
    """
    low = torch.maximum(boxes_a[:, :2], boxes_b[:, :2])
    high = torch.minimum(boxes_a[:, 2:], boxes_b[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    union = (_areas(boxes_a) + _areas(boxes_b) - overlap).clamp(min=1e-6)
    hull_low = torch.minimum(boxes_a[:, :2], boxes_b[:, :2])
    hull_high = torch.maximum(boxes_a[:, 2:], boxes_b[:, 2:])
    hull = (hull_high - hull_low).clamp(min=0).prod(dim=-1).clamp(min=1e-6)
    return overlap / union - (hull - union) / hull


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=-1)
