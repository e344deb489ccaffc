"""Weights of the prompt network on disk: half precision safetensors, a few megabytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backend.errors import VersionError
from backend.nn.prompts.network import PromptNetwork

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "promptable.safetensors"
"""Trained on generated scenes only; `scripts/train_prompt_weights.py` rebuilds them."""


def save_weights(values: Mapping[str, Tensor], path: Path) -> None:
    """Write a network's state as float16 (counters are left out), aside first and then by rename."""
    halved = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in values.items()
        if value.dtype.is_floating_point
    }
    partial = path.with_suffix(".partial")
    save_file(halved, partial)
    partial.replace(path)


def load_network(path: Path) -> PromptNetwork:
    """Return the network with the weights of `path`, in evaluation mode, channels last.

    Raises VersionError where the file is missing, damaged, or of another architecture.
    """
    try:
        values = {name: value.to(torch.float32) for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as exc:
        raise VersionError(f"the prompt network's weights at {path.name} cannot be read: {exc}") from exc
    network = PromptNetwork()
    expected = network.state_dict()
    counters = {name: value for name, value in expected.items() if not value.dtype.is_floating_point}
    unlike = [
        n
        for n, v in expected.items()
        if n not in counters and (n not in values or values[n].shape != v.shape)
    ]
    if unlike or set(values) - set(expected):
        raise VersionError(
            f"the prompt network's weights at {path.name} belong to another architecture "
            f"({len(unlike)} tensors differ); train again to replace them"
        )
    network.load_state_dict({**values, **counters})
    channels_last: nn.Module = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(channels_last, PromptNetwork)
    return channels_last
