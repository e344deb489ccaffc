"""The face of a head: all that network, training, predictor and judge know of what is learned.

A head is one folder beside this file, which makes one object of a subclass of `Head`; `catalog.HEADS` lists
them. All share backbone and neck, and each adds a module on top.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.geometry.placement import Placement
from backend.nn.detector.heads.score_map import ScoreMap
from backend.nn.detector.heads.serving import Found, Reading, Request, Serving

Outputs = Mapping[str, Tensor]
"""What the modules of all heads made of a batch, by name."""
Card = Mapping[str, Any]


@dataclass(frozen=True)
class Dimensions:
    """What a head's module is built for.

    fine_channels: of the backbone's map at stride 4; neck_channels: of the neck's maps at strides 8, 16 and
    32; deep_channels: of the backbone's maps at these strides; mask_channels: how wide modules that work at
    stride 4 are. asked: what the labeling config asks of the head beside objects, by the name of the control
    tag.
    """

    fine_channels: int
    neck_channels: int
    mask_channels: int
    label_count: int
    deep_channels: tuple[int, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureMaps:
    """What heads see: of the backbone fine [N, C, H/4, W/4] and deep, its maps at strides 8, 16 and 32.

    fused: the neck's maps at these strides; none where no head uses the neck.
    """

    fine: Tensor
    deep: list[Tensor]
    fused: list[Tensor]


@dataclass(frozen=True)
class LossContext:
    """What losses depend on beside outputs and targets.

    size_hw: of the net input. label_weights float32 [L]: how much more rare labels count. trust 0..1: how far
    the network's own output may decide what it learns.
    """

    size_hw: tuple[int, int]
    label_weights: Tensor
    trust: float


@dataclass(frozen=True)
class Piece:
    """Part of a training view: what its image teaches a head, and where the image lies in the view.

    is_altered: objects of other images were pasted into the view.
    """

    value: Any
    placement: Placement
    is_altered: bool = False


class HeadTargets(Protocol):
    """What a batch teaches one head."""

    def to(self, device: torch.device) -> HeadTargets:
        """Return the same on another device."""


Targets = TypeVar("Targets", bound=HeadTargets)


class Head(ABC, Generic[Targets, Reading]):
    """One thing that is learned and predicted.

    Reading: what its outputs are read with beside the weights (calibrated scores, where masks end); it is
    fitted when a training ends and stands in the version's card.
    """

    name: str
    """In cards and in `extras`; also what the head is called in sentences."""
    module_name: str
    """Where its module lies in the network, so the first word of its weights' names."""
    label_parameters: tuple[str, ...] = ()
    """Names of its module's parameters of which each row belongs to one label; all else is shared."""
    asked_parameters: tuple[str, ...] = ()
    """Names of its module's parameters that fit only what the labeling config asked of it."""
    uses_neck: bool = True
    gains_by_mosaics: bool = True
    """Whether four images in one view teach it more than one."""
    has_scores: bool = False
    """Whether the objects that it finds have scores, to be calibrated when a training ends."""
    learns_from_collages: bool = True
    """Whether its labels are true to views into which objects of other images are pasted."""
    keeps_maps: bool = False
    """Whether it can outline what a box is drawn around, for the smart tools."""

    @abstractmethod
    def is_wanted(self, params: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether a training with these parameters and labels learns it."""

    @abstractmethod
    def build(self, dimensions: Dimensions) -> nn.Module:
        """Return its module with random weights; called with a `FeatureMaps` it returns named outputs."""

    @abstractmethod
    def targets(self, shown: Sequence[TrainingTarget], label_count: int, rng: np.random.Generator) -> Targets:
        """Return what a batch of views teaches it, from the labels that the views show."""

    @abstractmethod
    def losses(
        self, module: nn.Module, outputs: Outputs, targets: Targets, context: LossContext
    ) -> dict[str, Tensor]:
        """Return the parts of its loss by name; the recipe weighs them."""

    @abstractmethod
    def decode(
        self, serving: Serving[Reading], outputs: Outputs, found: Sequence[Found], request: Request
    ) -> list[Found]:
        """Return what is found in each image of a batch, with what this head adds to the heads before it."""

    def of_both_views(self, outputs: Outputs, mirrored: Outputs, net_size: ImageSize) -> Outputs:
        """Return which of a batch's outputs become others once its mirrored images have been looked at.

        outputs and mirrored: of all heads. As it is, a head has no use for a second view.
        """
        return {}

    @abstractmethod
    def reading(self, taught: Sequence[TrainingTarget], label_count: int) -> Reading:
        """Return how to read its outputs as far as the labels themselves tell; without any, what is usual."""

    @abstractmethod
    def card_entries(self, reading: Reading) -> dict[str, Any]:
        """Return a reading as JSON-ready entries of a version's card."""

    @abstractmethod
    def reading_of(self, card: Card, label_count: int) -> Reading:
        """Return the reading in a card, of older releases too. Raises KeyError, TypeError or ValueError."""

    @abstractmethod
    def measure(
        self, found: Sequence[Detections], targets: Sequence[TrainingTarget], label_count: int
    ) -> dict[str, float]:
        """Return how good it is by measures from 0 to 1, on images that it has not learned from."""

    def asked_of(self, asked: Mapping[str, Any], taught: Sequence[TrainingTarget]) -> Mapping[str, Any]:
        """Return what the labeling config asks of it, completed by what the images teach."""
        return asked

    def as_found(self, target: TrainingTarget) -> TrainingTarget:
        """Return the objects of an image in the form in which it finds them."""
        return target

    def view_extra(self, pieces: Sequence[Piece]) -> Any:
        """Return the extra of a view that is made of pieces of images; for heads that learn from extras."""
        raise NotImplementedError(f"the head {self.name!r} does not say how its labels follow an image")

    def has_mirror_images(self, taught: Sequence[TrainingTarget]) -> bool:
        """Tell whether a mirrored image shows what others might show, so that views may be mirrored."""
        return True

    def shown(self, target: TrainingTarget) -> frozenset[Hashable]:
        """Return what a view's image teaches of it beside labels, of which rare ones are shown more often."""
        return frozenset()

    def turned_labels(self, reading: Reading) -> frozenset[int]:
        """Return the indices of the labels whose rectangles are drawn turned, as far as it learns of that."""
        return frozenset()

    def with_scores(self, reading: Reading, score_map: ScoreMap) -> Reading:
        """Return the reading with calibrated scores."""
        raise NotImplementedError(f"the head {self.name!r} has no scores")

    def fitted(
        self, reading: Reading, found: Sequence[Detections], targets: Sequence[TrainingTarget]
    ) -> Reading:
        """Return the reading fitted to what it made of images that it has not learned from, read plainly."""
        return reading

    def other_readings(self, reading: Reading) -> Sequence[Reading]:
        """Return readings to take instead where they surely fit held-out objects better."""
        return ()

    def fits(self, found: Detections, target: TrainingTarget) -> list[float]:
        """Return how well each object of an image that was found is outlined, by which readings are told."""
        return []

    def kept_maps(self, outputs: Outputs, net_size: ImageSize) -> MaskMaps:
        """Return what `mask_in_box` needs of a batch of one image."""
        raise NotImplementedError(f"the head {self.name!r} keeps no maps")

    def mask_in_box(
        self,
        serving: Serving[Reading],
        maps: MaskMaps,
        letterbox: Letterbox,
        box_net_xyxy_px: FloatArray,
        label_index: int,
    ) -> MaskPatch | None:
        """Return the mask, in the orig frame, of what a box [4] of the net frame was drawn around."""
        raise NotImplementedError(f"the head {self.name!r} keeps no maps")


AnyHead = Head[Any, Any]
