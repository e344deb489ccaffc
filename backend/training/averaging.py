"""The average of a network's weights over the last steps, which is what is kept of a training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def move_average(average: Mapping[str, Tensor], weights: Mapping[str, Tensor], keep: float) -> None:
    """Move an average, in place, towards the weights of the same names; it keeps the share `keep` of itself.

    Both are state dicts, running statistics among them; what is no floating point number is copied.
    """
    moving = [name for name, value in weights.items() if value.is_floating_point()]
    torch._foreach_lerp_([average[name] for name in moving], [weights[name] for name in moving], 1.0 - keep)
    for name, value in weights.items():
        if not value.is_floating_point():
            average[name].copy_(value)
