"""Boxes: of rectangles, ellipses and polygons, and around painted areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.nn.detector.heads.average_precision import box_average_precision
from backend.nn.detector.heads.boxes.both_views import boxes_of_both
from backend.nn.detector.heads.boxes.decoding import Candidates, best_candidates, suppress_per_label
from backend.nn.detector.heads.boxes.losses import BoxTargets, detection_losses, learners_of
from backend.nn.detector.heads.boxes.module import DetectionHead
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs
from backend.nn.detector.heads.score_map import RAW_SCORES, SCORE_FLOOR, ScoreMap, empty_share, image_score
from backend.nn.detector.heads.serving import Found, Request, Serving
from backend.nn.detector.heads.turning import is_drawn_turned


@dataclass(frozen=True)
class BoxReading:
    """What scores mean, and which share of images is likely to show no object."""

    score_map: ScoreMap = RAW_SCORES
    empty_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.empty_share < 1:
            raise ValueError(f"empty_share must lie between 0 and 1, got {self.empty_share}")


class BoxesHead(Head[BoxTargets, BoxReading]):
    """Class scores and boxes, without anchors."""

    name = "boxes"
    module_name = "detection_head"
    label_parameters = ("class_logits.weight", "class_logits.bias")
    has_scores = True

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether detection is switched on and any object is drawn, but no label turned."""
        is_on = bool(params["enable_detection"]) and any(len(target) for target in taught)
        return is_on and not is_drawn_turned(taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return DetectionHead(dimensions)

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> BoxTargets:
        """Return boxes and labels of all objects."""
        return BoxTargets(
            [torch.from_numpy(target.boxes_xyxy_px[target.first_rows]) for target in shown],
            [torch.from_numpy(target.label_indices) for target in shown],
            [torch.from_numpy(target.object_of_row) for target in shown],
        )

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: BoxTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `class` and `box`."""
        logits, boxes = outputs["class_logits"], outputs["boxes_xyxy_px"]
        return detection_losses(logits, boxes, targets, context, learners_of(logits, boxes, targets, context))

    def decode(
        self, serving: Serving[BoxReading], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Add the boxes of each image that the request's thresholds leave; padding holds none."""
        logits, boxes = (outputs[name].float().cpu().numpy() for name in ("class_logits", "boxes_xyxy_px"))
        in_images = []
        for row, before in enumerate(found):
            candidates = best_candidates(
                logits[row],
                boxes[row],
                serving.reading.score_map,
                score_floor=min(SCORE_FLOOR, request.confidence_threshold),
                max_regions=request.max_regions,
            )
            kept = candidates.take(suppress_per_label(candidates, request.nms_threshold))
            in_images.append(found_in_image(kept, serving.reading, before, request))
        return in_images

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return the means of scores and boxes."""
        return boxes_of_both(outputs, mirrored, net_size)

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> BoxReading:
        """Return raw scores, and the share of images without objects."""
        return BoxReading(empty_share=empty_share(taught)) if taught else BoxReading()

    def with_scores(self, reading: BoxReading, score_map: ScoreMap) -> BoxReading:
        """Return the reading with calibrated scores."""
        return replace(reading, score_map=score_map)

    def card_entries(self, reading: BoxReading) -> dict[str, Any]:
        """Return the score map and the share of empty images."""
        return {"score_map": reading.score_map.as_card(), "empty_share": reading.empty_share}

    def reading_of(self, card: Card, label_count: int) -> BoxReading:
        """Return what the card says; versions from before empty images were counted keep their scores."""
        return BoxReading(ScoreMap.from_card(card["score_map"]), float(card.get("empty_share", 0.5)))

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return COCO's average precision of boxes."""
        return box_average_precision(found, targets, label_count)


def found_in_image(candidates: Candidates, reading: BoxReading, before: Found, request: Request) -> Found:
    """Return what the request wants of the candidates that suppression has left of an image."""
    letterbox = before.letterbox
    score = image_score(candidates.scores, request.confidence_threshold, reading.empty_share)
    kept = candidates.take(candidates.scores >= request.confidence_threshold)
    kept = kept.take(slice(request.max_regions))
    in_orig = letterbox.boxes_to_orig(kept.boxes_xyxy_px)
    inside = np.flatnonzero((in_orig[:, 2] > in_orig[:, 0]) & (in_orig[:, 3] > in_orig[:, 1]))
    kept = kept.take(inside)
    turned = kept.turned_boxes_px
    return replace(
        before,
        boxes_net_xyxy_px=kept.boxes_xyxy_px,
        boxes_xyxy_px=in_orig[inside],
        scores=kept.scores,
        label_indices=kept.label_indices,
        masks=(None,) * len(inside),
        image_score=score,
        turned_boxes_px=None if turned is None else letterbox.turned_to_orig(turned),
    )


BOXES = BoxesHead()
