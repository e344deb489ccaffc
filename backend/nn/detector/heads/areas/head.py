"""Painted areas without objects (sky, tissue, road): what is learned where boxes are switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.geometry.masks import patch_box
from backend.core.geometry.matching import areas_of
from backend.nn.detector.heads.areas.decoding import (
    AREA_THRESHOLD_LOGIT,
    area_mask,
    find_areas,
    least_area_shares,
)
from backend.nn.detector.heads.areas.measures import area_ious, mean_area_iou
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs
from backend.nn.detector.heads.score_map import RAW_SCORES, ScoreMap, empty_share, image_score
from backend.nn.detector.heads.semantic import (
    LABEL_PARAMETERS,
    MASK_STRIDE,
    MODULE_NAME,
    SemanticModule,
    is_any_shape_known,
    kept_half,
    semantic_loss,
    semantic_of_both,
    semantic_targets,
)
from backend.nn.detector.heads.serving import Found, Request, Serving

OTHER_THRESHOLD_LOGITS = (-0.8, -0.4, 0.4, 0.8)
"""Where areas may end instead of at AREA_THRESHOLD_LOGIT."""


@dataclass(frozen=True)
class AreaTargets:
    """semantic: uint8 [N, L, h, w] as in `semantic_loss`."""

    semantic: Tensor

    def to(self, device: torch.device) -> AreaTargets:
        """Return the same on another device."""
        return AreaTargets(self.semantic.to(device, non_blocking=True))


@dataclass(frozen=True)
class AreaReading:
    """What scores mean, how many images are empty, how small an area may be, and where areas end.

    least_shares: per label, as a share of the image.
    """

    least_shares: tuple[float, ...]
    score_map: ScoreMap = RAW_SCORES
    empty_share: float = 0.5
    threshold_logit: float = AREA_THRESHOLD_LOGIT


class AreasHead(Head[AreaTargets, AreaReading]):
    """A semantic map whose connected parts are the regions."""

    name = "areas"
    module_name = MODULE_NAME
    label_parameters = LABEL_PARAMETERS
    has_scores = True
    keeps_maps = True

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether areas are switched on and boxes off, and any label shows a shape."""
        is_on = params["enable_segmentation"] and not params["enable_detection"]
        return bool(is_on) and is_any_shape_known(taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return SemanticModule(dimensions)

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> AreaTargets:
        """Return the semantic map."""
        return AreaTargets(semantic_targets(shown, label_count))

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: AreaTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `semantic`."""
        return {"semantic": semantic_loss(outputs["semantic"], targets.semantic)}

    def decode(
        self, serving: Serving[AreaReading], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Find the areas of each image; they are masks, so a request without masks gets them as well."""
        semantic = outputs["semantic"].float().cpu().numpy()
        return [
            self._in_one_image(serving.reading, logits, before, request)
            for logits, before in zip(semantic, found, strict=True)
        ]

    def _in_one_image(
        self, reading: AreaReading, semantic: FloatArray, before: Found, request: Request
    ) -> Found:
        areas = find_areas(semantic, before.letterbox, reading.least_shares, reading.threshold_logit)
        scores = reading.score_map.logits_to_scores(np.array([area.logit for area in areas], np.float32))
        score = image_score(scores, request.confidence_threshold, reading.empty_share)
        wanted = np.flatnonzero(scores >= request.confidence_threshold)[: request.max_regions]
        drawn = [
            (
                area_mask(
                    areas[k], semantic[areas[k].label_index], before.letterbox, reading.threshold_logit
                ),
                k,
            )
            for k in wanted.tolist()
        ]
        kept = [(mask, k) for mask, k in drawn if mask is not None]
        boxes = np.array([patch_box(mask) for mask, _ in kept], dtype=np.float32).reshape(-1, 4)
        return replace(
            before,
            boxes_net_xyxy_px=before.letterbox.boxes_to_net(boxes),
            boxes_xyxy_px=boxes,
            scores=scores[[k for _, k in kept]],
            label_indices=np.array([areas[k].label_index for _, k in kept], dtype=np.int64),
            masks=tuple(mask for mask, _ in kept),
            image_score=score,
            has_boxes=False,
        )

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return the mean map."""
        return semantic_of_both(outputs, mirrored)

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> AreaReading:
        """Return raw scores, how small areas are, and the share of images without any."""
        if not taught:
            return AreaReading((0.0,) * label_count)
        return AreaReading(least_area_shares(taught, label_count), empty_share=empty_share(taught))

    def as_found(self, target: TrainingTarget) -> TrainingTarget:
        """Return the areas of an image: the connected parts of what each label covers."""
        return areas_of(target)

    def with_scores(self, reading: AreaReading, score_map: ScoreMap) -> AreaReading:
        """Return the reading with calibrated scores."""
        return replace(reading, score_map=score_map)

    def other_readings(self, reading: AreaReading) -> Sequence[AreaReading]:
        """Return readings by which areas end elsewhere."""
        return [replace(reading, threshold_logit=logit) for logit in OTHER_THRESHOLD_LOGITS]

    def fits(self, found: Detections, target: TrainingTarget) -> list[float]:
        """Return the IoU of what each label covers, of the labels that the image shows."""
        return area_ious(found, target)

    def card_entries(self, reading: AreaReading) -> dict[str, Any]:
        """Return score map, share of empty images, smallest areas, and where areas end."""
        return {
            "score_map": reading.score_map.as_card(),
            "empty_share": reading.empty_share,
            "least_area_shares": list(reading.least_shares),
            "area_cut_logit": reading.threshold_logit,
        }

    def reading_of(self, card: Card, label_count: int) -> AreaReading:
        """Return what the card says."""
        return AreaReading(
            tuple(float(share) for share in card["least_area_shares"]),
            ScoreMap.from_card(card["score_map"]),
            float(card["empty_share"]),
            float(card["area_cut_logit"]),
        )

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return `area_iou`: the IoU of what a label covers in all images, as a mean over labels."""
        return {"area_iou": mean_area_iou(found, targets, label_count)}

    def kept_maps(self, outputs: Outputs, net_size: ImageSize) -> MaskMaps:
        """Return the semantic map in half precision; there are no windows, so no features are kept."""
        semantic = kept_half(outputs["semantic"])
        nothing = np.zeros((0, *semantic.shape[1:]), dtype=np.float16)
        return MaskMaps(net_size, nothing, nothing, semantic)

    def mask_in_box(
        self,
        serving: Serving[AreaReading],
        maps: MaskMaps,
        letterbox: Letterbox,
        box_net_xyxy_px: FloatArray,
        label_index: int,
    ) -> MaskPatch | None:
        """Return what the label covers within a box."""
        logits = maps.semantic[label_index].astype(np.float32)
        x1, y1, x2, y2 = np.round(box_net_xyxy_px / MASK_STRIDE).astype(int).tolist()
        outside = np.ones(logits.shape, dtype=np.bool_)
        outside[max(y1, 0) : max(y2, y1 + 1, 0), max(x1, 0) : max(x2, x1 + 1, 0)] = False
        logits[outside] = -abs(serving.reading.threshold_logit) - 9.0
        areas = find_areas(logits[None], letterbox, (0.0,), serving.reading.threshold_logit)
        if not areas:
            return None
        largest = max(areas, key=lambda area: int(area.cells.sum()))
        return area_mask(largest, logits, letterbox, serving.reading.threshold_logit)


AREAS = AreasHead()
