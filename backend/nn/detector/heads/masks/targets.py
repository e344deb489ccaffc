"""What a batch teaches about masks: windows about objects, and how much of each of their cells is covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from backend.core.geometry.instances import FloatArray, MaskPatch, TrainingTarget
from backend.core.geometry.placement import Rect
from backend.nn.detector.heads.masks.module import OBJECT_MASK_SIDE, WINDOW_SCALE
from backend.nn.detector.heads.semantic import semantic_targets

# Object masks per batch: a slide full of cells must not cost more than the rest of the step.
WINDOWS_PER_BATCH = 96


@dataclass(frozen=True)
class MaskTargets:
    """windows [K_n, 4] (net frame) and labels [K_n], per image; covered 0..1 [sum K_n, 28, 28] in that order.

    semantic: uint8 [N, L, h, w] as in `semantic_loss`.
    """

    windows: list[Tensor]
    labels: list[Tensor]
    covered: Tensor
    semantic: Tensor

    def to(self, device: torch.device) -> MaskTargets:
        """Return the same on another device."""
        windows, labels = (
            [t.to(device, non_blocking=True) for t in tensors] for tensors in (self.windows, self.labels)
        )
        covered, semantic = (t.to(device, non_blocking=True) for t in (self.covered, self.semantic))
        return MaskTargets(windows, labels, covered, semantic)


def mask_targets(shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator) -> MaskTargets:
    """Return a window for every object whose mask is known, off by as much as a detector's box might be."""
    windows, labels, covered = [], [], []
    most = WINDOWS_PER_BATCH // len(shown)
    for target in shown:
        known = {k: mask for k, mask in enumerate(target.masks) if mask is not None}
        mine = list(known)
        if len(mine) > most:
            mine = rng.permutation(mine)[:most].tolist()
        rects = [_jittered_window(target.boxes_xyxy_px[k], rng) for k in mine]
        windows.append(torch.tensor(rects, dtype=torch.float32).reshape(-1, 4))
        labels.append(torch.from_numpy(target.label_indices[mine].reshape(-1)))
        covered += [_covered(known[k], rect) for k, rect in zip(mine, rects, strict=True)]
    side = OBJECT_MASK_SIDE
    stacked = np.stack(covered) if covered else np.zeros((0, side, side), dtype=np.float32)
    return MaskTargets(windows, labels, torch.from_numpy(stacked), semantic_targets(shown, label_count))


def _jittered_window(box_xyxy_px: FloatArray, rng: np.random.Generator) -> Rect:
    """Return a window about a box as a detector might find it: off by some, whole pixels."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    width, height = x2 - x1, y2 - y1
    centre_x = (x1 + x2) / 2 + width * 0.06 * rng.standard_normal()
    centre_y = (y1 + y2) / 2 + height * 0.06 * rng.standard_normal()
    half_w = width / 2 * WINDOW_SCALE * np.exp(0.12 * rng.standard_normal())
    half_h = height / 2 * WINDOW_SCALE * np.exp(0.12 * rng.standard_normal())
    left, top = round(centre_x - half_w), round(centre_y - half_h)
    return left, top, max(left + 1, round(centre_x + half_w)), max(top + 1, round(centre_y + half_h))


def _covered(mask: MaskPatch, window: Rect) -> FloatArray:
    """Return how much of each of 28 x 28 cells of a window a mask covers, float32 0..1."""
    left, top, right, bottom = window
    crop = np.zeros((bottom - top, right - left), dtype=np.uint8)
    x1, y1 = max(left, mask.left_px), max(top, mask.top_px)
    x2 = min(right, mask.left_px + mask.bits.shape[1])
    y2 = min(bottom, mask.top_px + mask.bits.shape[0])
    if x2 > x1 and y2 > y1:
        bits = mask.bits[y1 - mask.top_px : y2 - mask.top_px, x1 - mask.left_px : x2 - mask.left_px]
        crop[y1 - top : y2 - top, x1 - left : x2 - left] = bits.astype(np.uint8) * 255
    side = OBJECT_MASK_SIDE
    is_smaller = crop.shape[0] > side or crop.shape[1] > side
    resized = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32) / np.float32(255)
