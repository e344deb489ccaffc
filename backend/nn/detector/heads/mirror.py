"""A second look at the mirrored images: what heads keep of it beside the outputs of the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.nn.detector.heads.head import Outputs


def kept_of_mirror(mirrored: Outputs, names: Sequence[str]) -> dict[str, Tensor]:
    """Return outputs of the mirrored images under names of their own, to stand among those of the images."""
    return {_in_mirror(name): mirrored[name] for name in names}


def found_in_mirror(outputs: Outputs, names: Sequence[str]) -> dict[str, Tensor] | None:
    """Return the kept outputs of the mirrored images by their usual names; None where none are kept."""
    if _in_mirror(names[0]) not in outputs:
        return None
    return {name: outputs[_in_mirror(name)] for name in names}


def shares_mirrored(boxes: Tensor) -> Tensor:
    """Return where boxes [M, 4], as shares of the view, lie in the mirrored view."""
    left, top, right, bottom = boxes.unbind(dim=1)
    return torch.stack([1 - right, top, 1 - left, bottom], dim=1)


def _in_mirror(name: str) -> str:
    return f"{name}_in_mirror"
