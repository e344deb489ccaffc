"""The semantic map: where each label is, at a quarter of the resolution. Masks and areas build on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.core.geometry.instances import TrainingTarget
from backend.core.geometry.masks import patch_to_alpha
from backend.nn.detector.heads.fine import FineModule
from backend.nn.detector.heads.head import Dimensions, FeatureMaps, Outputs
from backend.nn.detector.neck import ConvNormAct

MASK_STRIDE = 4
IGNORED = 255
MODULE_NAME = "segmentation_head"
LABEL_PARAMETERS = ("semantic_logits.weight", "semantic_logits.bias")


class SemanticModule(FineModule):
    """Fine features, and logits for every label."""

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__(dimensions)
        channels = dimensions.mask_channels
        self.semantic_tower = ConvNormAct(channels, channels)
        self.semantic_logits = nn.Conv2d(channels, dimensions.label_count, 1)
        assert self.semantic_logits.bias is not None
        nn.init.constant_(self.semantic_logits.bias, -math.log(9.0))

    def forward(self, maps: FeatureMaps) -> dict[str, Tensor]:
        """Return `fine` features [N, C, H/4, W/4] and `semantic` logits [N, L, H/4, W/4], float32."""
        fine = self.fine_features(maps)
        return {"fine": fine, "semantic": self.semantic_logits(self.semantic_tower(fine)).float()}


def is_any_shape_known(taught: Sequence[TrainingTarget]) -> bool:
    """Tell whether at least one object has a mask."""
    return any(mask is not None for target in taught for mask in target.masks)


def semantic_targets(shown: Sequence[TrainingTarget], label_count: int) -> Tensor:
    """Return uint8 [N, L, H / 4, W / 4] as `semantic_loss` takes it."""
    return torch.from_numpy(np.stack([semantic_target(target, label_count) for target in shown]))


def semantic_target(target: TrainingTarget, label_count: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [L, H / 4, W / 4]: 1 where at least half a cell is labelled, IGNORED inside boxes whose
    shape is unknown, else 0.
    """
    height, width = target.size.height, target.size.width
    small = (width // MASK_STRIDE, height // MASK_STRIDE)
    out = np.zeros((label_count, small[1], small[0]), dtype=np.uint8)
    for label in np.unique(target.label_indices):
        mine = np.flatnonzero(target.label_indices == label)
        masks = [target.masks[k] for k in mine]
        for k in mine:
            if target.masks[k] is None:
                x1, y1, x2, y2 = np.round(target.boxes_xyxy_px[k] / MASK_STRIDE).astype(int)
                out[label, max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = IGNORED
        known = [mask for mask in masks if mask is not None]
        if known:
            union = np.zeros((height, width), dtype=np.uint8)
            for mask in known:
                rows, columns = mask.bits.shape
                window = union[mask.top_px : mask.top_px + rows, mask.left_px : mask.left_px + columns]
                window |= patch_to_alpha(mask)
            out[label][cv2.resize(union, small, interpolation=cv2.INTER_AREA) >= 128] = 1
    return out


def semantic_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy plus dice of semantic logits [N, L, h, w].

    targets uint8 [N, L, h, w]: 0, 1, or IGNORED where nobody knows. A zero that still reaches every logit
    where all is unknown.
    """
    known = (targets != IGNORED).float()
    wanted = (targets == 1).float()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * known
    scores = logits.sigmoid() * known
    overlap = (scores * wanted).sum(dim=(0, 2, 3))
    total = scores.sum(dim=(0, 2, 3)) + wanted.sum(dim=(0, 2, 3))
    # A label absent from the batch has no shape to match; cross-entropy speaks for it.
    present = (wanted.sum(dim=(0, 2, 3)) > 0).float()
    dice = (1 - (2 * overlap + 1) / (total + 1)) * present
    return entropy.sum() / known.sum().clamp(min=1) + dice.sum() / present.sum().clamp(min=1)


def semantic_of_both(outputs: Outputs, mirrored: Outputs) -> dict[str, Tensor]:
    """Return the mean `semantic` logits of images and of their mirror images."""
    return {"semantic": (outputs["semantic"] + mirrored["semantic"].flip(3)) / 2}


def kept_half(values: Tensor) -> npt.NDArray[np.float16]:
    """Return a map of a batch of one image [1, C, h, w] in half precision, float16 [C, h, w]."""
    limit = 6e4  # a little below float16's largest number
    return values[0].float().clamp(-limit, limit).cpu().numpy().astype(np.float16)
