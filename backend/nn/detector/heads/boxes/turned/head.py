"""Turned boxes: of rectangles that are drawn turned, instead of upright boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.nn.detector.heads.average_precision import box_average_precision, turned_average_precision
from backend.nn.detector.heads.boxes.both_views import boxes_of_both, cells_mirrored
from backend.nn.detector.heads.boxes.decoding import best_candidates
from backend.nn.detector.heads.boxes.head import BOXES, BoxesHead, BoxReading, found_in_image
from backend.nn.detector.heads.boxes.losses import detection_losses, learners_of
from backend.nn.detector.heads.boxes.turned.coding import codes_mirrored
from backend.nn.detector.heads.boxes.turned.decoding import suppress_turned_per_label, with_turned_boxes
from backend.nn.detector.heads.boxes.turned.losses import TurnedTargets, turn_loss, turned_targets
from backend.nn.detector.heads.boxes.turned.module import TurnedDetectionHead
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs
from backend.nn.detector.heads.score_map import SCORE_FLOOR, ScoreMap
from backend.nn.detector.heads.serving import Found, Request, Serving
from backend.nn.detector.heads.turning import is_drawn_turned, turned_shares, turning


@dataclass(frozen=True)
class TurnedReading(BoxReading):
    """turned_shares: which share of each label's rectangles is drawn turned, in the order of the labels."""

    turned_shares: tuple[float, ...] = ()


class TurnedBoxesHead(Head[TurnedTargets, TurnedReading]):
    """Class scores and boxes as the head for upright ones finds them, and how what is in a box is turned."""

    name = "turned_boxes"
    module_name = BoxesHead.module_name
    label_parameters = BoxesHead.label_parameters
    has_scores = True

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether detection is switched on, and a label is drawn turned."""
        return bool(params["enable_detection"]) and is_drawn_turned(taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return TurnedDetectionHead(dimensions)

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> TurnedTargets:
        """Return boxes, labels and turns of all objects."""
        return turned_targets(BOXES.targets(shown, label_count, rng), shown)

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: TurnedTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `class`, `box` and `turn`."""
        logits, boxes = outputs["class_logits"], outputs["boxes_xyxy_px"]
        learners = learners_of(logits, boxes, targets.boxes, context)
        parts = detection_losses(logits, boxes, targets.boxes, context, learners)
        return {**parts, "turn": turn_loss(outputs["turn_codes"], targets, learners)}

    def decode(
        self, serving: Serving[TurnedReading], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Add the boxes of each image that the request's thresholds leave, turned ones where drawn so."""
        names = ("class_logits", "boxes_xyxy_px", "turn_codes")
        logits, boxes, codes = (outputs[name].float().cpu().numpy() for name in names)
        reading = serving.reading
        in_images = []
        for row, before in enumerate(found):
            candidates = best_candidates(
                logits[row],
                boxes[row],
                reading.score_map,
                score_floor=min(SCORE_FLOOR, request.confidence_threshold),
                max_regions=request.max_regions,
            )
            candidates = with_turned_boxes(candidates, codes[row], reading.turned_shares)
            kept = candidates.take(suppress_turned_per_label(candidates, request.nms_threshold))
            in_images.append(found_in_image(kept, reading, before, request))
        return in_images

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return the means of scores, boxes and turns."""
        codes = codes_mirrored(cells_mirrored(mirrored["turn_codes"], net_size))
        return {
            **boxes_of_both(outputs, mirrored, net_size),
            "turn_codes": (outputs["turn_codes"] + codes) / 2,
        }

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> TurnedReading:
        """Return raw scores, the share of images without objects, and the shares drawn turned.

        Without labels all are taken to be turned.
        """
        usual = BOXES.reading(taught, label_count)
        shares = turned_shares(taught, label_count) if taught else (1.0,) * label_count
        return TurnedReading(usual.score_map, usual.empty_share, shares)

    def turned_labels(self, reading: TurnedReading) -> frozenset[int]:
        """Return the labels of which enough rectangles are drawn turned."""
        return frozenset(np.flatnonzero(turning(reading.turned_shares)).tolist())

    def with_scores(self, reading: TurnedReading, score_map: ScoreMap) -> TurnedReading:
        """Return the reading with calibrated scores."""
        return replace(reading, score_map=score_map)

    def card_entries(self, reading: TurnedReading) -> dict[str, Any]:
        """Return the score map, the share of empty images, and the shares drawn turned."""
        shares = [round(share, 4) for share in reading.turned_shares]
        return {**BOXES.card_entries(reading), "turned_shares": shares}

    def reading_of(self, card: Card, label_count: int) -> TurnedReading:
        """Return what the card says."""
        usual = BOXES.reading_of(card, label_count)
        shares = tuple(float(share) for share in card["turned_shares"])
        if len(shares) != label_count:
            raise ValueError(f"{label_count} labels, and {len(shares)} shares drawn turned")
        return TurnedReading(usual.score_map, usual.empty_share, shares)

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return the average precision of turned boxes, and COCO's of the upright boxes around them."""
        return {
            **turned_average_precision(found, targets, label_count),
            **box_average_precision(found, targets, label_count),
        }


TURNED_BOXES = TurnedBoxesHead()
