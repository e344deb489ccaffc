"""Attributes: what is said of each region, beside its label: occluded or not, how ripe, a number on it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.answers.asked import Answered
from backend.core.answers.kind import AnswerKind
from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.core.geometry.matching import NO_ROW, matched_rows
from backend.nn.detector.heads.answer_curves import Curves
from backend.nn.detector.heads.answer_decoding import chances_of
from backend.nn.detector.heads.answer_losses import choice_loss
from backend.nn.detector.heads.answer_measures import choice_measures
from backend.nn.detector.heads.answer_scales import shown_answers, with_scales
from backend.nn.detector.heads.attributes.module import OUTPUT_NAMES, AttributesModule
from backend.nn.detector.heads.attributes.targets import AttributeTargets, attribute_targets
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs
from backend.nn.detector.heads.mirror import found_in_mirror, kept_of_mirror, shares_mirrored
from backend.nn.detector.heads.serving import Found, Request, Serving

READING = "attribute_curves"


class AttributesHead(Head[AttributeTargets, Curves]):
    """Chances of options and values for every object that the heads before it find."""

    name = AnswerKind.region_head
    module_name = "attributes_head"
    asked_parameters = ("out.weight", "out.bias")

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether anything is said of any object."""
        return any(target.attributes for target in taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return AttributesModule(dimensions)

    def asked_of(self, asked: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> Mapping[str, Any]:
        """Return what is asked, with the scales that the numbers given span."""
        return with_scales(asked, [said for target in taught for said in _said(target).values()])

    def shown(self, target: TrainingTarget) -> frozenset[Hashable]:
        """Return what is said of the objects, by control tag."""
        return frozenset().union(*(shown_answers(said) for said in _said(target).values()))

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> AttributeTargets:
        """Return a row for each object of which something is said."""
        return attribute_targets(shown, rng)

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: AttributeTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `attribute`."""
        assert isinstance(module, AttributesModule)
        if not targets.taught:
            # One look at nothing in particular, so that every parameter has a gradient in every process.
            device = outputs[OUTPUT_NAMES[0]].device
            view, whole = torch.zeros(1, dtype=torch.int64), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
            logits = module.logits(outputs, view.to(device), whole.to(device), whole[:, 2:].to(device))
            return {"attribute": 0.0 * logits.sum()}
        logits = module.logits(outputs, targets.views, targets.boxes, targets.sides)
        weights = torch.ones(len(logits), device=logits.device)
        taught = [
            module.layout.in_mirror(one) if is_mirrored else one
            for one, is_mirrored in zip(targets.taught, targets.mirrored, strict=True)
        ]
        return {"attribute": choice_loss(logits, taught, weights, module.layout)}

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return what the mirrored images show: what is said of an object follows from both looks."""
        return kept_of_mirror(mirrored, OUTPUT_NAMES)

    def decode(
        self, serving: Serving[Curves], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Add the chances of every option and value, by control tag, to each object found so far."""
        module = serving.module
        assert isinstance(module, AttributesModule)
        if not any(len(one.scores) for one in found):
            return [replace(one, attributes=()) for one in found]
        views = [number for number, one in enumerate(found) for _ in one.scores]
        with serving.computing():
            of_image = torch.tensor(views, device=serving.device)
            places, sides = (
                torch.from_numpy(np.concatenate([shares(one) for one in found])).to(serving.device)
                for shares in (_places, _sides)
            )
            logits = module.logits(outputs, of_image, places, sides)
            mirrored = found_in_mirror(outputs, OUTPUT_NAMES)
            if mirrored is not None and module.layout.is_its_own_mirror_image:
                logits = (logits + module.logits(mirrored, of_image, shares_mirrored(places), sides)) / 2
            rows = iter(logits.float().cpu().numpy())
        curves = serving.reading.by_control
        return [
            replace(one, attributes=tuple(chances_of(next(rows), module.layout, curves) for _ in one.scores))
            for one in found
        ]

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> Curves:
        """Return raw chances: the labels themselves do not tell what they are worth."""
        return Curves()

    def fitted(
        self, reading: Curves, found: Sequence[Detections], targets: Sequence[TrainingTarget]
    ) -> Curves:
        """Return the reading with a curve for each control tag that says something of objects found."""
        return reading.fitted_to(_pairs(found, targets))

    def card_entries(self, reading: Curves) -> dict[str, Any]:
        """Return slope and offset of each control tag."""
        return {READING: reading.as_card()}

    def reading_of(self, card: Card, label_count: int) -> Curves:
        """Return the curves that the card has."""
        return Curves.from_card(card[READING])

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return the measures of choices, of the objects that were found, each named `region_...`."""
        measures = choice_measures(_pairs(found, targets))
        return {f"region_{name}": value for name, value in measures.items()}


def _said(target: TrainingTarget) -> dict[int, Mapping[str, Any]]:
    """Return what is said of each object, by its first row."""
    said = {row: target.attributes[row] for row in target.first_rows.tolist()} if target.attributes else {}
    return {row: one.taught for row, one in said.items() if one is not None}


def _pairs(found: Sequence[Detections], targets: Sequence[TrainingTarget]) -> list[Answered]:
    """Return what was found and what is said of each object that a detection hits."""
    pairs: list[Answered] = []
    for detections, target in zip(found, targets, strict=True):
        rows = target.attributes_by_row
        for number, row in enumerate(matched_rows(detections, target).tolist()):
            said = None if row == NO_ROW else rows[row]
            if said is not None and detections.attributes is not None:
                pairs.append((detections.attributes[number], said.taught))
    return pairs


def _places(found: Found) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the boxes as shares of the view, float32 [K, 4]."""
    size = found.letterbox.net_size
    places: np.ndarray[Any, np.dtype[np.float32]] = (
        found.boxes_net_xyxy_px / np.array((size.width, size.height) * 2)
    ).astype(np.float32)
    return places


def _sides(found: Found) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the sides as shares of the image's longer one, float32 [K, 2]."""
    size, boxes = found.letterbox.size, found.boxes_xyxy_px
    sides: np.ndarray[Any, np.dtype[np.float32]] = (
        (boxes[:, 2:] - boxes[:, :2]) / max(size.width, size.height)
    ).astype(np.float32)
    return sides


ATTRIBUTES = AttributesHead()
