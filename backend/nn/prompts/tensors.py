"""How pixels and drawn prompts become tensors, in serving and in training alike."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.core.prompting.windows import ByteArray

PIXEL_MEAN = (123.7, 116.3, 103.5)
PIXEL_DEVIATION = (58.4, 57.1, 57.4)
"""Of the pixel values 0..255; the customary constants, so that inputs are about unit size."""


def images_to_tensor(windows: ByteArray) -> Tensor:
    """Return uint8 [B, S, S, 3] pixels as normalised float [B, 3, S, S], channels last in memory."""
    pixels = torch.from_numpy(windows).permute(0, 3, 1, 2).float()
    mean = torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)
    deviation = torch.tensor(PIXEL_DEVIATION).view(1, 3, 1, 1)
    return ((pixels - mean) / deviation).contiguous(memory_format=torch.channels_last)


def prompts_to_tensor(drawn: ByteArray) -> Tensor:
    """Return drawn prompts uint8 [B, 5, S, S] as float in 0..1, channels last in memory."""
    return (torch.from_numpy(drawn).float() / 255.0).contiguous(memory_format=torch.channels_last)
