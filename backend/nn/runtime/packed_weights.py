"""Weights as 8-bit integers with a scale per output channel: small files, good enough to start from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backend.errors import VersionError
from backend.written_whole import written_whole

SCALE_SUFFIX = ".scale"
_LARGEST = 127


def save_packed(values: Mapping[str, Tensor], path: Path) -> None:
    """Write the floating-point tensors of a network's state, aside first and then by rename.

    Matrices and kernels [O, ...] become int8 and a scale float32 [O]; vectors stay float32. Counters are left
    out.
    """
    packed: dict[str, Tensor] = {}
    for name, value in values.items():
        if not value.is_floating_point():
            continue
        exact = value.detach().to("cpu", torch.float32)
        if exact.ndim < 2:
            packed[name] = exact.clone()
            continue
        rows = exact.flatten(1)
        scale = (rows.abs().amax(dim=1) / _LARGEST).clamp(min=1e-12)
        packed[name] = (rows / scale[:, None]).round().to(torch.int8).view(exact.shape).contiguous()
        packed[name + SCALE_SUFFIX] = scale
    with written_whole(path) as part:
        save_file(packed, part)


def load_packed(path: Path) -> dict[str, Tensor]:
    """Return what `save_packed` wrote as float32, within half a step of 1/127 of each channel's largest.

    Raises VersionError where the file is missing or damaged.
    """
    try:
        stored = load_file(path)
        return {
            name: _unpacked(value, stored[name + SCALE_SUFFIX]) if value.dtype == torch.int8 else value
            for name, value in stored.items()
            if not name.endswith(SCALE_SUFFIX)
        }
    except (OSError, SafetensorError, KeyError) as exc:
        raise VersionError(f"the weights at {path.name} cannot be read: {exc}") from exc


def _unpacked(value: Tensor, scale: Tensor) -> Tensor:
    return (value.flatten(1).to(torch.float32) * scale[:, None]).view(value.shape)
