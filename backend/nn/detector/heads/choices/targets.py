"""What views teach about the images that they show: one row for each image in a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.nn.detector.heads.head import Piece

VISIBLE_MIN = 0.4
"""An image of which less is shown teaches nothing: what was chosen may be cut away."""


@dataclass(frozen=True)
class ChoiceTargets:
    """views int64 [M]: which view shows the image; areas_xyxy float32 [M, 4]: where, as shares of the view.

    weights float32 [M]; chosen: for each image the positions of the options, by control tag; mirrored: which
    images the views show mirrored.
    """

    views: Tensor
    areas_xyxy: Tensor
    weights: Tensor
    chosen: tuple[Mapping[str, Sequence[int]], ...]
    mirrored: tuple[bool, ...]

    def to(self, device: torch.device) -> ChoiceTargets:
        """Return the same on another device."""
        return ChoiceTargets(
            self.views.to(device),
            self.areas_xyxy.to(device),
            self.weights.to(device),
            self.chosen,
            self.mirrored,
        )


def view_extra(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Return the images that a view shows: what was chosen, where it lies in pixels, how much of it is seen,
    and whether it is mirrored.

    What a pasted object would change is not known, so such views teach no choice.
    """
    shown = []
    for piece in pieces:
        if piece.value is None or piece.is_altered:
            continue
        chosen = piece.value[0]["chosen"] if isinstance(piece.value, list) else piece.value
        place = piece.placement
        visible = place.visible_px / max(place.width_px * place.height_px, 1)
        shown.append(
            {
                "chosen": chosen,
                "area_xyxy_px": list(place.visible),
                "visible": visible,
                "mirrored": place.is_mirrored,
            }
        )
    return shown


def choice_targets(shown: Sequence[Any]) -> ChoiceTargets:
    """Return the rows of a batch of views, from the size of each view and its extra."""
    rows = [
        (number, np.array(one["area_xyxy_px"]) / np.array((size.width, size.height) * 2), one)
        for number, (size, extra) in enumerate(shown)
        for one in extra or ()
        if one["visible"] >= VISIBLE_MIN and one["chosen"]
    ]
    return ChoiceTargets(
        torch.tensor([number for number, _, _ in rows], dtype=torch.int64),
        torch.tensor(np.array([area for _, area, _ in rows]).reshape(-1, 4), dtype=torch.float32),
        torch.tensor([one["visible"] for _, _, one in rows], dtype=torch.float32),
        tuple(one["chosen"] for _, _, one in rows),
        tuple(one["mirrored"] for _, _, one in rows),
    )
