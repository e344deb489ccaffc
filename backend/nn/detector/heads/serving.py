"""A head at work: what a prediction is asked for, what the heads have found so far, and how one computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from backend.core.geometry.instances import Detections, FloatArray, IntArray, MaskPatch
from backend.core.geometry.letterbox import Letterbox

Reading = TypeVar("Reading")


@dataclass(frozen=True)
class Request:
    """What a prediction is asked for: from which score, up to which overlap, how much, and whether masks."""

    confidence_threshold: float
    nms_threshold: float
    max_regions: int = 100
    with_masks: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """What the heads have found so far in one image, best score first.

    boxes_net_xyxy_px and boxes_xyxy_px [K, 4]: the same boxes in the net and the orig frame; the rest is as
    in Detections.
    """

    letterbox: Letterbox
    boxes_net_xyxy_px: FloatArray
    boxes_xyxy_px: FloatArray
    scores: FloatArray
    label_indices: IntArray
    masks: tuple[MaskPatch | None, ...]
    image_score: float = 1.0
    has_boxes: bool = True
    extras: Mapping[str, Any] = field(default_factory=dict)
    turned_boxes_px: FloatArray | None = None
    attributes: tuple[Mapping[str, Any], ...] | None = None

    @classmethod
    def nothing(cls, letterbox: Letterbox) -> Found:
        """Return what is known of an image before any head was asked."""
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return cls(letterbox, boxes, boxes, scores, np.zeros(0, np.int64), ())

    def with_extra(self, name: str, value: Any) -> Found:
        """Return the same with what one more head found."""
        return replace(self, extras={**self.extras, name: value})

    def detections(self) -> Detections:
        """Return the objects in the orig frame."""
        return Detections(
            self.letterbox.size,
            self.boxes_xyxy_px,
            self.scores,
            self.label_indices,
            self.masks,
            self.image_score,
            self.has_boxes,
            self.extras,
            self.turned_boxes_px,
            self.attributes,
        )


@dataclass(frozen=True)
class Serving(Generic[Reading]):
    """A head at work: its module, how to read what the module says, and where and how it computes."""

    module: nn.Module
    reading: Reading
    device: torch.device
    dtype: torch.dtype
    autocast: bool

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients, in the precision that the network has."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast),
        ):
            yield
