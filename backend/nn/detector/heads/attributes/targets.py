"""What views teach about the regions that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.core.geometry.instances import TrainingTarget

SHAKE = 0.06
"""The standard deviation by which sides of boxes move, as a share of their length: found ones do not lie
exactly where people draw them."""


@dataclass(frozen=True)
class AttributeTargets:
    """A row for each object of which something is said.

    views int64 [M]: which view shows it; boxes float32 [M, 4]: where, as shares of the view. sides float32
    [M, 2]: how large it is in its own image; taught: what is said of it, by control tag; mirrored: whether
    the view shows it mirrored.
    """

    views: Tensor
    boxes: Tensor
    sides: Tensor
    taught: tuple[Mapping[str, Any], ...]
    mirrored: tuple[bool, ...]

    def to(self, device: torch.device) -> AttributeTargets:
        """Return the same on another device."""
        return AttributeTargets(
            self.views.to(device), self.boxes.to(device), self.sides.to(device), self.taught, self.mirrored
        )


def attribute_targets(shown: Sequence[TrainingTarget], rng: np.random.Generator) -> AttributeTargets:
    """Return what a batch of views teaches."""
    views, boxes, sides, taught, mirrored = [], [], [], [], []
    for number, target in enumerate(shown):
        extent = np.array((target.size.width, target.size.height) * 2, dtype=np.float32)
        for row in target.first_rows.tolist():
            said = target.attributes_by_row[row]
            if said is None:
                continue
            views.append(number)
            boxes.append(target.boxes_xyxy_px[row] / extent)
            sides.append(said.sides)
            taught.append(said.taught)
            mirrored.append(said.is_mirrored)
    places = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    lengths = np.tile(places[:, 2:] - places[:, :2], 2)
    places += (lengths * rng.normal(0, SHAKE, size=places.shape)).astype(np.float32)
    return AttributeTargets(
        torch.tensor(views, dtype=torch.int64),
        torch.from_numpy(places),
        torch.tensor(sides, dtype=torch.float32).reshape(-1, 2),
        tuple(taught),
        tuple(mirrored),
    )
