"""Choices: what is said of an image as a whole: some of given options, a path through a tree, a value."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.answers.asked import FoundAnswer
from backend.core.answers.kind import AnswerKind
from backend.core.geometry.instances import Detections, ImageSize, TrainingTarget
from backend.nn.detector.heads.answer_curves import Curves
from backend.nn.detector.heads.answer_decoding import certainty, chances_of
from backend.nn.detector.heads.answer_losses import choice_loss
from backend.nn.detector.heads.answer_measures import choice_measures
from backend.nn.detector.heads.answer_scales import shown_answers, with_scales
from backend.nn.detector.heads.choices.module import OUTPUT_NAMES, ChoicesModule
from backend.nn.detector.heads.choices.targets import ChoiceTargets, choice_targets, view_extra
from backend.nn.detector.heads.head import Card, Dimensions, Head, LossContext, Outputs, Piece
from backend.nn.detector.heads.mirror import found_in_mirror, kept_of_mirror, shares_mirrored
from backend.nn.detector.heads.serving import Found, Request, Serving

READING = "choice_curves"


class ChoicesHead(Head[ChoiceTargets, Curves]):
    """Chances of options."""

    name = AnswerKind.head
    module_name = "choices_head"
    asked_parameters = ("out.weight", "out.bias")
    uses_neck = False
    gains_by_mosaics = False

    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether any image teaches a choice."""
        return any(self.name in target.extras for target in taught)

    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights."""
        return ChoicesModule(dimensions)

    def view_extra(self, pieces: Sequence[Piece]) -> Any:
        """Return what was chosen for each image in the view, and where it lies."""
        return view_extra(pieces)

    def shown(self, target: TrainingTarget) -> frozenset[Hashable]:
        """Return the options that were chosen, by control tag."""
        return shown_answers(self._taught(target))

    def targets(
        self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator
    ) -> ChoiceTargets:
        """Return a row for each image of which enough is seen."""
        return choice_targets([(target.size, target.extras.get(self.name)) for target in shown])

    def losses(
        self, module: nn.Module, outputs: Outputs, targets: ChoiceTargets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return `choice`."""
        assert isinstance(module, ChoicesModule)
        logits = module.logits(outputs, targets.views, targets.areas_xyxy)
        chosen = [
            module.layout.in_mirror(one) if is_mirrored else one
            for one, is_mirrored in zip(targets.chosen, targets.mirrored, strict=True)
        ]
        return {"choice": choice_loss(logits, chosen, targets.weights, module.layout)}

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return what the mirrored images show: an option's chance follows from both looks."""
        return kept_of_mirror(mirrored, OUTPUT_NAMES)

    def decode(
        self, serving: Serving[Curves], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Add the chances of every option, by control tag; padding has no say."""
        module = serving.module
        assert isinstance(module, ChoicesModule)
        boxes = [one.letterbox for one in found]
        areas = [
            (0, 0, b.inner_size.width / b.net_size.width, b.inner_size.height / b.net_size.height)
            for b in boxes
        ]
        with serving.computing():
            views = torch.arange(len(found), device=serving.device)
            where = torch.tensor(areas, dtype=torch.float32, device=serving.device)
            both = module.logits(outputs, views, where)
            mirrored = found_in_mirror(outputs, OUTPUT_NAMES)
            if mirrored is not None and module.layout.is_its_own_mirror_image:
                both = (both + module.logits(mirrored, views, shares_mirrored(where))) / 2
            logits = both.float().cpu().numpy()
        answers = []
        for row, one in zip(logits, found, strict=True):
            chances = chances_of(row, module.layout, serving.reading.by_control)
            score = min(one.image_score, certainty(chances))
            answers.append(replace(one.with_extra(self.name, chances), image_score=score))
        return answers

    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> Curves:
        """Return raw chances: the labels themselves do not tell what they are worth."""
        return Curves()

    def asked_of(self, asked: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> Mapping[str, Any]:
        """Return what is asked, with the scales that the numbers given span."""
        return with_scales(asked, [self._taught(target) for target in taught])

    def fitted(
        self, reading: Curves, found: Sequence[Detections], targets: Sequence[TrainingTarget]
    ) -> Curves:
        """Return the reading with a curve for each control tag that the images answer."""
        both = [(self._found(one), self._taught(target)) for one, target in zip(found, targets, strict=True)]
        return reading.fitted_to(both)

    def card_entries(self, reading: Curves) -> dict[str, Any]:
        """Return slope and offset of each control tag."""
        return {READING: reading.as_card()}

    def reading_of(self, card: Card, label_count: int) -> Curves:
        """Return the curves that the card has."""
        return Curves.from_card(card[READING])

    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return `choice_accuracy` and `choice_map`, as far as the images have such choices."""
        return choice_measures(
            [(self._found(one), self._taught(target)) for one, target in zip(found, targets, strict=True)]
        )

    def _found(self, found: Detections) -> Mapping[str, FoundAnswer]:
        chances: Mapping[str, FoundAnswer] = found.extras[self.name]
        return chances

    def _taught(self, target: TrainingTarget) -> Mapping[str, Any]:
        shown = target.extras.get(self.name) or [{"chosen": {}}]
        chosen: Mapping[str, Any] = shown[0]["chosen"]
        return chosen


CHOICES = ChoicesHead()
