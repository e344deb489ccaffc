"""Weights of the prompt network on disk: half precision safetensors, a few megabytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.errors import VersionError
from backend.nn.prompts.network import PromptNetwork
from backend.written_whole import written_whole

SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "promptable.safetensors"
"""Trained on photographs and drawn scenes; `scripts/train_prompt_weights.py` rebuilds them."""
FORMAT = "2"
"""Of the architecture the weights belong to. Files without one hold the network of the first release."""
_FIRST_FORMAT = "1"
_FORMAT_KEY = "prompt_network"


def save_weights(values: Mapping[str, Tensor], path: Path) -> None:
    """Write a network's state as float16 (counters are left out)."""
    halved = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in values.items()
        if value.dtype.is_floating_point
    }
    with written_whole(path) as part:
        save_file(halved, part, metadata={_FORMAT_KEY: FORMAT})


def is_of_an_earlier_network(path: Path) -> bool:
    """Tell whether a file holds the weights of an earlier release's network, which this one cannot run.

    Raises VersionError where the file is missing or damaged, or a later release wrote it.
    """
    return _read(path)[0] == _FIRST_FORMAT


def load_network(path: Path) -> PromptNetwork:
    """Return the network with the weights of `path`, in evaluation mode, channels last.

    Raises VersionError where the file is missing, damaged, or of another architecture.
    """
    values = _read(path)[1]
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


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the format and the values float32 of a file."""
    try:
        with safe_open(path, framework="pt") as file:
            made = (file.metadata() or {}).get(_FORMAT_KEY, _FIRST_FORMAT)
            values = {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as exc:
        raise VersionError(f"the prompt network's weights at {path.name} cannot be read: {exc}") from exc
    if made not in (_FIRST_FORMAT, FORMAT):
        raise VersionError(
            f"the prompt network's weights at {path.name} have format {made}, this release reads "
            f"{_FIRST_FORMAT} and {FORMAT}; serve them with the release that trained them, or train again"
        )
    return made, values
