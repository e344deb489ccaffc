"""What the cells of an image and those of its mirror image say together."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.core.geometry.instances import ImageSize
from backend.nn.detector.heads.boxes.module import DETECTION_STRIDES
from backend.nn.detector.heads.head import Outputs


def boxes_of_both(outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> dict[str, Tensor]:
    """Return the mean `class_logits` [N, P, L] and `boxes_xyxy_px` [N, P, 4], cell by cell.

    mirrored: the same of the mirrored images. net_size: of the network's input, in pixels.
    """
    logits = (outputs["class_logits"] + cells_mirrored(mirrored["class_logits"], net_size)) / 2
    left, top, right, bottom = cells_mirrored(mirrored["boxes_xyxy_px"], net_size).unbind(dim=-1)
    boxes = torch.stack([net_size.width - right, top, net_size.width - left, bottom], dim=-1)
    return {"class_logits": logits, "boxes_xyxy_px": (outputs["boxes_xyxy_px"] + boxes) / 2}


def cells_mirrored(values: Tensor, net_size: ImageSize) -> Tensor:
    """Return what cells say [N, P, C] in the order that they have in the mirrored image."""
    levels, first = [], 0
    for stride in DETECTION_STRIDES:
        rows, columns = net_size.height // stride, net_size.width // stride
        level = values[:, first : first + rows * columns].unflatten(1, (rows, columns))
        levels.append(level.flip(2).flatten(1, 2))
        first += rows * columns
    return torch.cat(levels, dim=1)
