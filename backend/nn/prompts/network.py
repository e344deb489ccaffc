"""The network behind the smart tools: a window of the image and drawn prompts in, a mask out.

A U-Net whose encoder has seen ImageNet. The prompts join the features at stride 4 (as in RITM's Conv1S, arXiv
2102.06583, one stage later, so that the first stages need no gradient), again before the finest mask, and as
questions about the features: how alike is each place to what the annotator clicked, boxed, or already had?
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.nn.prompts.encoder import ImageEncoder

PROMPT_CHANNELS = 5
"""Drawn prompts: positive clicks, negative clicks, rough shape, mask so far, detector's view."""
NET_SIDE, SEARCH_SIDE = 256, 192
"""Side of the windows that prompts are answered from, and of those that look for what a lone click means."""
_LIKENESS_CHANNELS = 6
_PROMPT_WIDTH = 24
_WIDTH_16, _WIDTH_8, _WIDTH_4, _WIDTH_2 = 128, 80, 48, 16


@dataclass(frozen=True)
class PromptOutput:
    """mask_logits float [B, 1, S, S] in the frame of the window; overlap_logits [B], of the expected IoU."""

    mask_logits: Tensor
    overlap_logits: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
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
    """Self-attention over all cells of a coarse grid: a part finds the rest of its object."""

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
    """An image encoder, a stem for the prompts and a light decoder; about three million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ImageEncoder()
        _, c4, c8, c16, c32 = ImageEncoder.widths
        c2 = ImageEncoder.widths[0]
        self.prompt_stem = nn.Sequential(
            nn.Conv2d(PROMPT_CHANNELS, 16, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(16, _PROMPT_WIDTH, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.prompt_entry = nn.Conv2d(_PROMPT_WIDTH, c4, 1)
        self.prompt_entry8 = nn.Conv2d(_PROMPT_WIDTH + _LIKENESS_CHANNELS, c8, 1)
        for entry in (self.prompt_entry, self.prompt_entry8):
            nn.init.zeros_(entry.weight)
            assert entry.bias is not None
            nn.init.zeros_(entry.bias)
        self.lateral32 = _conv(c32, _WIDTH_16, 1)
        self.join16 = nn.Sequential(
            _conv(_WIDTH_16 + c16, _WIDTH_16, 1), _Mixing(_WIDTH_16), _Mixing(_WIDTH_16)
        )
        self.join8 = nn.Sequential(_conv(_WIDTH_16 + c8 + _LIKENESS_CHANNELS, _WIDTH_8), _Residual(_WIDTH_8))
        self.join4 = nn.Sequential(
            _conv(_WIDTH_8 + c4 + _PROMPT_WIDTH + _LIKENESS_CHANNELS, _WIDTH_4, 1), _Residual(_WIDTH_4)
        )
        self.narrow4 = nn.Conv2d(_WIDTH_4, _WIDTH_2, 1)
        self.join2 = _conv(_WIDTH_2 + c2, _WIDTH_2)
        self.mask = nn.Conv2d(_WIDTH_2, 1, 3, padding=1)
        self.overlap = nn.Sequential(
            nn.Linear(_WIDTH_16 + _WIDTH_8, 64), nn.ReLU(inplace=True), nn.Linear(64, 1)
        )

    def forward(self, image: Tensor, prompts: Tensor) -> PromptOutput:
        """Return mask and expected overlap.

        image float [B, 3, S, S], normalised, S a multiple of 32; prompts float [B, 5, S, S] in 0..1 in
        the order of PROMPT_CHANNELS.
        """
        fine2, fine4 = self.encoder.early(image)
        marks4 = self.prompt_stem(prompts)
        prompted4 = fine4 + self.prompt_entry(marks4)
        fine8 = self.encoder.fine8(prompted4)
        marks8 = functional.avg_pool2d(marks4, 2)
        fine8 = fine8 + self.prompt_entry8(torch.cat([marks8, likeness_maps(fine8, prompts)], dim=1))
        fine16, fine32 = self.encoder.coarse(fine8)
        coarse = self.join16(torch.cat([_twice(self.lateral32(fine32)), fine16], dim=1))
        up8 = self.join8(torch.cat([_twice(coarse), fine8, likeness_maps(fine8, prompts)], dim=1))
        up4 = self.join4(torch.cat([_twice(up8), prompted4, marks4, likeness_maps(fine4, prompts)], dim=1))
        up2 = self.join2(torch.cat([_twice(self.narrow4(up4)), fine2], dim=1))
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
