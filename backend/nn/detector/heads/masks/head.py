"""Masks of the objects that have a box: from paintbrush labels, polygons and ellipses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.geometry.masks import patch_iou
from backend.core.geometry.matching import HIT_IOU
from backend.nn.detector.heads.average_precision import mask_average_precision
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs
from backend.nn.detector.heads.masks.decoding import (
    MASK_THRESHOLD_LOGIT,
    SPECK_SHARE,
    object_mask,
    speck_shares,
)
from backend.nn.detector.heads.masks.losses import object_mask_loss
from backend.nn.detector.heads.masks.module import MasksModule, mask_windows, windows_mirrored
from backend.nn.detector.heads.masks.targets import MaskTargets, mask_targets
from backend.nn.detector.heads.mirror import found_in_mirror, kept_of_mirror
from backend.nn.detector.heads.semantic import (
    LABEL_PARAMETERS,
    MODULE_NAME,
    is_any_shape_known,
    kept_half,
    semantic_loss,
    semantic_of_both,
)
from backend.nn.detector.heads.serving import Found, Request, Serving

OTHER_THRESHOLD_LOGITS = (-1.2, -0.8, 0.0, 0.4)
"""Where masks may end instead of at MASK_THRESHOLD_LOGIT."""
FEATURES = ("fine", "coarse")
"""The outputs that the masks of single objects are computed from."""


@dataclass(frozen=True)
class MaskReading:
    """speck_shares: per label, which parts of a mask are specks. threshold_logit: where masks end."""

    speck_shares: tuple[float, ...]
    threshold_logit: float = MASK_THRESHOLD_LOGIT


@dataclass(frozen=True, eq=False)
class MaskLogits:
    """Of one image: semantic [L, h, w], windows_xyxy_px [K, 4] in the net frame, residuals [K, 28, 28]."""

    semantic: FloatArray
    windows_xyxy_px: FloatArray
    residuals: FloatArray


class MasksHead(Head[MaskTargets, MaskReading]):
    """A semantic map, sharp but blind to objects, and what each box adds to it in its own window."""

    name = "masks"
    module_name = MODULE_NAME
    label_parameters = LABEL_PARAMETERS
    keeps_maps = True

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether both heads are switched on and any label shows a shape."""
        is_on = params["enable_segmentation"] and params["enable_detection"]
        return bool(is_on) and is_any_shape_known(taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return MasksModule(dimensions)

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> MaskTargets:
        """Return windows about objects of known shape, and the semantic map."""
        return mask_targets(shown, label_count, rng)

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: MaskTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `semantic` and `object`."""
        assert isinstance(module, MasksModule)
        semantic = semantic_loss(outputs["semantic"], targets.semantic)
        logits = module.object_logits(outputs, targets.windows, targets.labels)
        return {"semantic": semantic, "object": object_mask_loss(logits, targets.covered)}

    def decode(
        self, serving: Serving[MaskReading], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Give every box its mask, unless the request wants none."""
        if not request.with_masks:
            return list(found)
        logits = self.mask_logits(serving, outputs, [one.boxes_net_xyxy_px for one in found])
        return [
            replace(one, masks=self._masks(serving.reading, mine, one))
            for one, mine in zip(found, logits, strict=True)
        ]

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return the mean semantic map, and what the mirrored objects are outlined by."""
        return {**semantic_of_both(outputs, mirrored), **kept_of_mirror(mirrored, FEATURES)}

    def mask_logits(
        self, serving: Serving[MaskReading], outputs: Outputs, boxes_net_xyxy_px: Sequence[FloatArray]
    ) -> list[MaskLogits]:
        """Compute the object masks of a batch at once: one image alone would not fill the processor."""
        module = serving.module
        assert isinstance(module, MasksModule)
        with serving.computing():
            windows = [mask_windows(torch.from_numpy(b).to(serving.device)) for b in boxes_net_xyxy_px]
            residuals = module.window_residuals(
                outputs["fine"], outputs["coarse"], windows, dtype=serving.dtype
            )
            mirrored = found_in_mirror(outputs, FEATURES)
            if mirrored is not None:
                fine, coarse = (mirrored[name] for name in FEATURES)
                others = module.window_residuals(
                    fine, coarse, windows_mirrored(windows, fine), dtype=serving.dtype
                )
                residuals = (residuals + others.flip(2)) / 2
            semantic = outputs["semantic"].float().cpu().numpy()
            parts = residuals.cpu().split([len(boxes) for boxes in boxes_net_xyxy_px])
        return [
            MaskLogits(s, w.cpu().numpy(), r.numpy())
            for s, w, r in zip(semantic, windows, parts, strict=True)
        ]

    def _masks(self, reading: MaskReading, logits: MaskLogits, found: Found) -> tuple[MaskPatch | None, ...]:
        return tuple(
            object_mask(
                logits.semantic[label],
                logits.residuals[k],
                logits.windows_xyxy_px[k],
                found.letterbox,
                speck_share=reading.speck_shares[label],
                threshold_logit=reading.threshold_logit,
            )
            for k, label in enumerate(found.label_indices)
        )

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> MaskReading:
        """Return which parts are specks, by how the labels are drawn."""
        return MaskReading(speck_shares(taught, label_count))

    def other_readings(self, reading: MaskReading) -> Sequence[MaskReading]:
        """Return readings by which masks end elsewhere."""
        return [replace(reading, threshold_logit=logit) for logit in OTHER_THRESHOLD_LOGITS]

    def fits(self, found: Detections, target: TrainingTarget) -> list[float]:
        """Return the mask IoU of every object with a mask whose box was found (IoU 0.5, same label)."""
        iou = box_iou(found.boxes_xyxy_px, target.boxes_xyxy_px)
        ious = []
        for k, drawn in enumerate(target.masks):
            usable = (found.label_indices == target.label_indices[k]) & (iou[:, k] >= HIT_IOU)
            if drawn is None or not usable.any():
                continue
            mask = found.masks[int(np.argmax(np.where(usable, iou[:, k], -1)))]
            ious.append(0.0 if mask is None else patch_iou(mask, drawn))
        return ious

    def card_entries(self, reading: MaskReading) -> dict[str, Any]:
        """Return which parts are specks, and where masks end."""
        return {"speck_shares": list(reading.speck_shares), "mask_cut_logit": reading.threshold_logit}

    def reading_of(self, card: Card, label_count: int) -> MaskReading:
        """Return what the card says; the first releases knew neither entry."""
        shares = tuple(float(share) for share in card.get("speck_shares", ()))
        return MaskReading(
            shares or (SPECK_SHARE,) * label_count, float(card.get("mask_cut_logit", MASK_THRESHOLD_LOGIT))
        )

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return COCO's average precision of masks; nothing where the mask of any object is not known."""
        return mask_average_precision(found, targets, label_count)

    def kept_maps(self, outputs: Outputs, net_size: ImageSize) -> MaskMaps:
        """Return the maps that `mask_in_box` reads, in half precision."""
        fine, coarse, semantic = (kept_half(outputs[name]) for name in ("fine", "coarse", "semantic"))
        return MaskMaps(net_size, fine, coarse, semantic)

    def mask_in_box(
        self,
        serving: Serving[MaskReading],
        maps: MaskMaps,
        letterbox: Letterbox,
        box_net_xyxy_px: FloatArray,
        label_index: int,
    ) -> MaskPatch | None:
        """Return the mask of the object in a box, as if the box had been found."""
        module = serving.module
        assert isinstance(module, MasksModule)
        windows = [mask_windows(torch.from_numpy(box_net_xyxy_px[None]).to(serving.device))]
        fine, coarse = (
            torch.from_numpy(values[None]).to(serving.device, serving.dtype)
            for values in (maps.fine, maps.coarse)
        )
        with serving.computing():
            residual = module.window_residuals(fine, coarse, windows, dtype=serving.dtype)
        return object_mask(
            maps.semantic[label_index].astype(np.float32),
            residual[0].cpu().numpy(),
            windows[0][0].cpu().numpy(),
            letterbox,
            speck_share=serving.reading.speck_shares[label_index],
            threshold_logit=serving.reading.threshold_logit,
        )


MASKS = MasksHead()
