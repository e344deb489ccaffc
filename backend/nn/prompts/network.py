"""The network behind the smart tools: a window of the image and drawn prompts in, a mask out.

The prompts enter with the pixels (early fusion), and once more as questions about the features: how
alike is each place to what the annotator clicked, boxed, or already had?
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_CHANNELS = 3
PROMPT_CHANNELS = 5
"""Drawn prompts: positive clicks, negative clicks, rough shape, mask so far, detector's view."""
_LIKENESS_CHANNELS = 6


@dataclass(frozen=True)
class PromptOutput:
    """mask_logits float [B, 1, S, S] in the frame of the window; overlap_logits [B], of the expected IoU."""

    mask_logits: Tensor
    overlap_logits: Tensor


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        norm = nn.BatchNorm2d(width)
        nn.init.zeros_(norm.weight)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), norm)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.second(self.first(features)))


class _Mixing(nn.Module):
    """Self-attention over all cells of the coarsest grid: a part finds the rest of its object."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.place = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.before = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.after = nn.LayerNorm(width)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.heads = heads

    def forward(self, features: Tensor) -> Tensor:
        batch, width, rows, columns = features.shape
        features = features + self.place(features)
        tokens = features.flatten(2).transpose(1, 2)
        packed = self.query_key_value(self.before(tokens))
        packed = packed.view(batch, rows * columns, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(packed[0], packed[1], packed[2])
        tokens = tokens + self.joined(mixed.transpose(1, 2).reshape(batch, rows * columns, width))
        tokens = tokens + self.inner(self.after(tokens))
        return tokens.transpose(1, 2).reshape(batch, width, rows, columns)


class PromptNetwork(nn.Module):
    """A small U-Net with likeness maps; about two million weights, any window side divisible by 16."""

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 96, 160)) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.widths = widths
        self.stem = nn.Sequential(_conv(IMAGE_CHANNELS + PROMPT_CHANNELS, w2, stride=2), _Residual(w2))
        self.down4 = nn.Sequential(_conv(w2, w4, stride=2), _Residual(w4))
        self.fuse4 = nn.Sequential(_conv(w4 + _LIKENESS_CHANNELS, w4), _Residual(w4))
        self.down8 = nn.Sequential(_conv(w4, w8, stride=2), _Residual(w8))
        self.fuse8 = nn.Sequential(_conv(w8 + _LIKENESS_CHANNELS, w8), _Residual(w8))
        self.down16 = nn.Sequential(_conv(w8, w16, stride=2), _Residual(w16), _Mixing(w16), _Residual(w16))
        self.up8 = _conv(w16 + w8, w8)
        self.up4 = _conv(w8 + w4, w4)
        self.up2 = _conv(w4 + w2, w2)
        self.mask = nn.Conv2d(w2, 1, 3, padding=1)
        self.overlap = nn.Sequential(nn.Linear(w16 + w8, 64), nn.ReLU(inplace=True), nn.Linear(64, 1))

    def forward(self, image: Tensor, prompts: Tensor) -> PromptOutput:
        """Return mask and expected overlap.

        image float [B, 3, S, S], normalised; prompts float [B, 5, S, S] in 0..1 in the order of
        PROMPT_CHANNELS.
        """
        fine2 = self.stem(torch.cat([image, prompts], dim=1))
        fine4 = self.down4(fine2)
        fine4 = self.fuse4(torch.cat([fine4, likeness_maps(fine4, prompts)], dim=1))
        fine8 = self.down8(fine4)
        fine8 = self.fuse8(torch.cat([fine8, likeness_maps(fine8, prompts)], dim=1))
        coarse = self.down16(fine8)
        up8 = self.up8(torch.cat([_twice(coarse), fine8], dim=1))
        up4 = self.up4(torch.cat([_twice(up8), fine4], dim=1))
        up2 = self.up2(torch.cat([_twice(up4), fine2], dim=1))
        logits = _twice(self.mask(up2)).float()
        pooled = torch.cat([coarse.mean(dim=(2, 3)), up8.mean(dim=(2, 3))], dim=1)
        return PromptOutput(mask_logits=logits, overlap_logits=self.overlap(pooled)[:, 0].float())


def _twice(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def likeness_maps(features: Tensor, prompts: Tensor) -> Tensor:
    """Return how alike each cell is to what each prompt marks, float [B, 6, h, w] in -1..1.

    In order: to the positive clicks, the negative clicks, inside and outside of the rough shape, inside
    and outside of the mask so far. A prompt that marks nothing gives zeros. The cosine is taken to the
    mean feature under the mark.
    """
    rows, columns = features.shape[2:]
    cells = functional.adaptive_avg_pool2d(prompts, (rows, columns))
    has_shape = (cells[:, 2:3].amax(dim=(2, 3), keepdim=True) > 0.05).to(cells.dtype)
    has_mask = (cells[:, 3:4].amax(dim=(2, 3), keepdim=True) > 0.05).to(cells.dtype)
    marks = torch.cat(
        [
            cells[:, 0:2],
            cells[:, 2:3],
            (1.0 - cells[:, 2:3]) * has_shape,
            cells[:, 3:4],
            (1.0 - cells[:, 3:4]) * has_mask,
        ],
        dim=1,
    ).flatten(2)
    flat = functional.normalize(features.flatten(2).float(), dim=1)
    weights = marks.float() / marks.float().sum(dim=2, keepdim=True).clamp(min=1e-4)
    means = functional.normalize(weights @ flat.transpose(1, 2), dim=2)
    return (means @ flat).view(*marks.shape[:2], rows, columns).to(features.dtype)
