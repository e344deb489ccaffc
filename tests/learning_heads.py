"""Heads for tests: one that is new to the backend, and boxes that misbehave in one way each."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from backend.nn.detector.heads.boxes.head import BoxesHead
from backend.nn.detector.heads.head import Head


@dataclass(frozen=True)
class ChoiceTargets:
    """chosen int64 [N], -1 where nothing is chosen."""

    chosen: torch.Tensor

    def to(self, device):
        return ChoiceTargets(self.chosen.to(device))


@dataclass(frozen=True)
class ChoiceReading:
    """The choices by name."""

    names: tuple[str, ...] = ("dark", "bright")


class ChoiceModule(nn.Module):
    """One look at the whole image."""

    def __init__(self, channels):
        super().__init__()
        self.logits = nn.Linear(channels, 2)

    def forward(self, maps):
        return {"choice_logits": self.logits(maps.fused[0].mean(dim=(2, 3))).float()}


class ChoiceHead(Head[ChoiceTargets, ChoiceReading]):
    """Whether an image as a whole is dark or bright: nothing like a box or a mask."""

    name = "choice"
    module_name = "choice_head"

    def is_wanted(self, params, taught):
        return any("choice" in target.extras for target in taught)

    def build(self, dimensions):
        return ChoiceModule(dimensions.neck_channels)

    def view_extra(self, pieces):
        return max(pieces, key=lambda piece: piece.placement.visible_px).value

    def targets(self, shown, label_count, rng):
        return ChoiceTargets(torch.tensor([target.extras.get("choice", -1) for target in shown]))

    def losses(self, module, outputs, targets, context):
        return {"choice": F.cross_entropy(outputs["choice_logits"], targets.chosen, ignore_index=-1)}

    def decode(self, serving, outputs, found, request):
        best = outputs["choice_logits"].argmax(dim=1).tolist()
        return [
            one.with_extra(self.name, serving.reading.names[k]) for one, k in zip(found, best, strict=True)
        ]

    def reading(self, taught, label_count):
        return ChoiceReading()

    def card_entries(self, reading):
        return {"choice_names": list(reading.names)}

    def reading_of(self, card, label_count):
        return ChoiceReading(tuple(card["choice_names"]))

    def measure(self, found, targets, label_count):
        names = ChoiceReading().names
        right = [
            one.extras["choice"] == names[target.extras["choice"]]
            for one, target in zip(found, targets, strict=True)
        ]
        return {"choice_accuracy": sum(right) / len(right)}


class ScriptedBoxes(BoxesHead):
    """Boxes that are as good, epoch by epoch, as the test says."""

    def __init__(self, box_map_by_epoch):
        self._told = iter([*box_map_by_epoch, box_map_by_epoch[-1]])

    def measure(self, found, targets, label_count):
        return {"box_map": next(self._told)}


class UnjudgedBoxes(BoxesHead):
    """Boxes of which held-out images say nothing, as of points where none was drawn on them."""

    def measure(self, found, targets, label_count):
        return {}


class HungryBoxes(BoxesHead):
    """Boxes that learn from `fits` images at a time, and run out of memory beyond."""

    def __init__(self, fits, error):
        self._fits, self._error = fits, error

    def losses(self, module, outputs, targets, context):
        if len(targets.labels) > self._fits:
            raise self._error
        return super().losses(module, outputs, targets, context)


class DivergingBoxes(BoxesHead):
    """Boxes whose loss is not a number."""

    def losses(self, module, outputs, targets, context):
        parts = super().losses(module, outputs, targets, context)
        return {**parts, "class": parts["class"] * float("nan")}


class WatchingBoxes(BoxesHead):
    """Boxes that note which images their views show: `seen` by batch, of the extras that samples carry."""

    def __init__(self):
        self.seen = []

    def view_extra(self, pieces):
        return frozenset().union(*(piece.value for piece in pieces))

    def targets(self, shown, label_count, rng):
        self.seen.append(frozenset().union(*(target.extras["boxes"] for target in shown)))
        return super().targets(shown, label_count, rng)
