"""Named points: the snout, the left ear, the tip of a tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.core.geometry.mirroring import has_mirror_images
from backend.core.geometry.point_matching import match_points
from backend.core.geometry.points import (
    NO_OBJECT,
    POINTS,
    LabelledPoint,
    found_points,
    points_of,
    read_points,
)
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs, Piece
from backend.nn.detector.heads.mirror import found_in_mirror, kept_of_mirror
from backend.nn.detector.heads.points.decoding import PointMaps, choose_points, find_points
from backend.nn.detector.heads.points.losses import heatmap_loss, offset_loss
from backend.nn.detector.heads.points.measures import measure_points
from backend.nn.detector.heads.points.module import OUTPUT_NAMES, PointsModule, points_of_both
from backend.nn.detector.heads.points.targets import PointTargets, point_targets
from backend.nn.detector.heads.points.thresholds import USUAL_SCORES, safe_logit, shifted_scores
from backend.nn.detector.heads.score_map import SCORE_FLOOR, ScoreMap, image_score
from backend.nn.detector.heads.serving import Found, Request, Serving


@dataclass(frozen=True)
class PointReading:
    """What scores mean, how many points a label may have, and which share of images is likely to show none.

    most_per_image, most_per_object: by label; 0 means any number. mirrored_labels: the index of the label
    that each is in a mirror; empty in versions that are looked at once.
    """

    most_per_image: tuple[int, ...]
    most_per_object: tuple[int, ...]
    score_map: ScoreMap = USUAL_SCORES
    empty_share: float = 0.5
    mirrored_labels: tuple[int, ...] = ()


class PointsHead(Head[PointTargets, PointReading]):
    """A heatmap for each label, whose peaks are the points.

    Source: CenterNet, arXiv 1904.07850, sec. 3, for peaks; DeepLabCut for a way to the point for each label.
    """

    name = POINTS
    module_name = "point_head"
    label_parameters = tuple(
        f"{layer}.{part}"
        for layer in ("point_logits", "offsets_x", "offsets_y")
        for part in ("weight", "bias")
    )

    learns_from_collages = False

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether any image shows a point."""
        return any(points_of(target) for target in taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return PointsModule(dimensions)

    def view_extra(self, pieces: Sequence[Piece]) -> list[LabelledPoint]:
        """Return the points that a view shows, each with the label that it has in the view."""
        of_one_image = len(pieces) == 1
        return [point for piece in pieces for point in _shown(piece, keeps_objects=of_one_image)]

    def has_mirror_images(self, taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether a mirrored image shows what another image might show."""
        return has_mirror_images([points_of(target) for target in taught])

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> PointTargets:
        """Return heatmaps, and the ways to the points."""
        return point_targets([points_of(target) for target in shown], shown[0].size, label_count)

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: PointTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `point` and `point_offset`."""
        offsets = (outputs["point_offsets_x"], outputs["point_offsets_y"])
        return {
            "point": heatmap_loss(outputs["point_logits"], targets.nearness),
            "point_offset": offset_loss(*offsets, targets),
        }

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return what the mirrored images show: a point lies where both looks see it."""
        return kept_of_mirror(mirrored, OUTPUT_NAMES)

    def decode(
        self, serving: Serving[PointReading], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Add the points of each image, at most as many of a label as an image or object ever had."""
        maps = {name: outputs[name] for name in OUTPUT_NAMES}
        mirrored = found_in_mirror(outputs, OUTPUT_NAMES)
        if mirrored is not None and serving.reading.mirrored_labels:
            maps = points_of_both(maps, mirrored, serving.reading.mirrored_labels)
        logits, offsets_x, offsets_y = (maps[name].float().cpu().numpy() for name in OUTPUT_NAMES)
        return [
            self._in_one_image(
                serving.reading, before, request, PointMaps(logits[row], offsets_x[row], offsets_y[row])
            )
            for row, before in enumerate(found)
        ]

    def _in_one_image(self, reading: PointReading, before: Found, request: Request, maps: PointMaps) -> Found:
        floor = min(SCORE_FLOOR, request.confidence_threshold)
        floor_logit = reading.score_map.score_to_logit(floor)
        places, logits, labels = find_points(maps, before.letterbox, floor_logit)
        points = choose_points(
            places,
            reading.score_map.logits_to_scores(logits),
            labels,
            before.boxes_xyxy_px,
            reading.most_per_image,
            reading.most_per_object,
        )
        score = image_score(points.scores, request.confidence_threshold, reading.empty_share)
        wanted = np.flatnonzero(points.scores >= request.confidence_threshold)[: request.max_regions]
        with_score = replace(before, image_score=min(before.image_score, score))
        return with_score.with_extra(self.name, points.take(wanted))

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> PointReading:
        """Return the usual threshold, and how many points of a label images and objects have."""
        per_image, per_object = _most(taught, label_count)
        return PointReading(
            per_image,
            per_object,
            empty_share=_pointless_share(taught),
            mirrored_labels=_mirrored_labels(taught, label_count),
        )

    def fitted(
        self,
        reading: PointReading,
        found: Sequence[Detections],
        targets: Sequence[TrainingTarget],
    ) -> PointReading:
        """Return the reading by which hardly any point is invented on images that are new to the network."""
        matches = [
            (points, match_points(points, points_of(target), target.size).hits)
            for points, target in zip(map(found_points, found), targets, strict=True)
        ]
        scores = np.concatenate([points.scores for points, _ in matches])
        hits = np.concatenate([hits for _, hits in matches])
        logits = np.array([USUAL_SCORES.score_to_logit(float(score)) for score in scores])
        return replace(reading, score_map=shifted_scores(safe_logit(logits, hits)))

    def card_entries(self, reading: PointReading) -> dict[str, Any]:
        """Return the reading."""
        return {
            "point_score_map": reading.score_map.as_card(),
            "point_limits_per_image": list(reading.most_per_image),
            "point_limits_per_object": list(reading.most_per_object),
            "pointless_share": reading.empty_share,
            "mirrored_point_labels": list(reading.mirrored_labels),
        }

    def reading_of(self, card: Card, label_count: int) -> PointReading:
        """Return what the card says."""
        per_image, per_object = (
            tuple(int(most) for most in card[f"point_limits_per_{of}"]) for of in ("image", "object")
        )
        if {len(per_image), len(per_object)} != {label_count}:
            raise ValueError(f"point_limits_per_image and point_limits_per_object need {label_count} entries")
        mirrored = tuple(int(index) for index in card.get("mirrored_point_labels", ()))
        if mirrored and sorted(mirrored) != list(range(label_count)):
            raise ValueError(f"mirrored_point_labels must name each of {label_count} labels once")
        score_map = ScoreMap.from_card(card["point_score_map"])
        return PointReading(per_image, per_object, score_map, float(card["pointless_share"]), mirrored)

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return `point_map`, `point_recall` and `point_nearness`."""
        points = [found_points(one) for one in found]
        matches = [
            match_points(one, points_of(target), target.size)
            for one, target in zip(points, targets, strict=True)
        ]
        return measure_points(points, matches, label_count)


def _shown(piece: Piece, *, keeps_objects: bool) -> list[LabelledPoint]:
    """Return the points of one piece that the view shows, each with the label that it has there."""
    points = read_points(piece.value)
    place = piece.placement
    moved = place.points_to_canvas(np.array([[p.x_px, p.y_px] for p in points], np.float32).reshape(-1, 2))
    x1, y1, x2, y2 = place.visible
    return [
        point._replace(
            x_px=x,
            y_px=y,
            label_index=point.mirrored_index if place.is_mirrored else point.label_index,
            mirrored_index=point.label_index if place.is_mirrored else point.mirrored_index,
            object_index=point.object_index if keeps_objects else NO_OBJECT,
        )
        for point, (x, y) in zip(points, moved.tolist(), strict=True)
        if x1 <= x <= x2 and y1 <= y <= y2
    ]


def _mirrored_labels(taught: Sequence[TrainingTarget], label_count: int) -> tuple[int, ...]:
    """Return the label that each label is in a mirror, by what its points say; else itself."""
    mirrored = list(range(label_count))
    for point in (point for target in taught for point in points_of(target)):
        one, other = point.label_index, point.mirrored_index
        if (mirrored[one], mirrored[other]) == (one, other):
            mirrored[one], mirrored[other] = other, one
    return tuple(mirrored)


def _pointless_share(taught: Sequence[TrainingTarget]) -> float:
    """Return the share of images without points that is to be expected among new ones: never 0, never 1."""
    empty = sum(not points_of(target) for target in taught)
    return round((empty + 0.5) / (len(taught) + 1), 4)


def _most(taught: Sequence[TrainingTarget], label_count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many points of a label are allowed in an image and on an object; 0 for any number.

    One where there was never more than one. An object counts only for labels whose points all belong to some.
    """
    in_image = np.zeros(label_count, np.int64)
    in_object = np.zeros(label_count, np.int64)
    is_free = np.zeros(label_count, np.bool_)
    for target in taught:
        points = points_of(target)
        for label, count in Counter(point.label_index for point in points).items():
            in_image[label] = max(in_image[label], count)
        on_objects = [point for point in points if point.object_index != NO_OBJECT]
        for (_, label), count in Counter((p.object_index, p.label_index) for p in on_objects).items():
            in_object[label] = max(in_object[label], count)
        for point in points:
            is_free[point.label_index] |= point.object_index == NO_OBJECT
    per_image = tuple(int(most == 1) for most in in_image)
    per_object = tuple(int(most == 1 and not free) for most, free in zip(in_object, is_free, strict=True))
    return per_image, per_object


POINTS_HEAD = PointsHead()
