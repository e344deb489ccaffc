"""Features of whole pictures, from the image encoder of the click network that is shipped.

The encoder has seen ImageNet and, with its click network, the outlines of many things: windows that show
alike things have alike features, before anything was learned in a project.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.core.prompting.windows import OUTSIDE_RGB, ByteArray
from backend.nn.prompts.encoder import ImageEncoder
from backend.nn.prompts.network import PROMPT_CHANNELS, PromptNetwork, likeness_maps
from backend.nn.prompts.tensors import images_to_tensor
from backend.nn.prompts.weights import SHIPPED_WEIGHTS, load_network

STRIDE_PX = 8
CHANNELS = sum(ImageEncoder.widths[1:])
_COARSEST_STRIDE_PX = 32
_TILE_PX, _MARGIN_PX = 768, 32
"""Large pictures are encoded in tiles, each with a margin that is thrown away, so that memory is bounded."""


class PictureEncoder:
    """Encodes pictures of any size; keeps nothing between calls, so threads may share it."""

    def __init__(self, network: PromptNetwork) -> None:
        """Take the encoder of a network in evaluation mode, in which nothing is pointed at."""
        self._encoder = network.encoder
        side = 4 * _COARSEST_STRIDE_PX
        with torch.inference_mode():
            nothing = torch.zeros(1, PROMPT_CHANNELS, side, side)
            marks4 = network.prompt_stem(nothing)
            likeness8 = likeness_maps(torch.zeros(1, 1, side // 8, side // 8), nothing)
            marks8 = torch.cat([functional.avg_pool2d(marks4, 2), likeness8], dim=1)
            middle = slice(side // 16, side // 16 + 1)  # away from the border, where the padding shows
            self._entry4 = network.prompt_entry(marks4)[:, :, middle, middle]
            self._entry8 = network.prompt_entry8(marks8)[:, :, middle, middle]

    def encode(self, picture: ByteArray, scale: float) -> Tensor:
        """Return float [CHANNELS, h, w] of an RGB picture uint8 [H, W, 3] resized by `scale`.

        A cell covers STRIDE_PX pixels of the resized picture; the channels of strides 4 to 32 lie on top of
        each other.
        """
        height, width = picture.shape[:2]
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = np.asarray(cv2.resize(picture, size_wh, interpolation=method), dtype=np.uint8)
        rows, columns = -(-size_wh[1] // STRIDE_PX), -(-size_wh[0] // STRIDE_PX)
        found = torch.empty(CHANNELS, rows, columns)
        for top, bottom in _stretches(size_wh[1]):
            for left, right in _stretches(size_wh[0]):
                first_row, first_column = max(top - _MARGIN_PX, 0), max(left - _MARGIN_PX, 0)
                tile = resized[first_row : bottom + _MARGIN_PX, first_column : right + _MARGIN_PX]
                features = self._encode_tile(_padded(tile))
                y, x = (top - first_row) // STRIDE_PX, (left - first_column) // STRIDE_PX
                part = found[
                    :, top // STRIDE_PX : -(-bottom // STRIDE_PX), left // STRIDE_PX : -(-right // STRIDE_PX)
                ]
                part.copy_(features[:, y : y + part.shape[1], x : x + part.shape[2]])
        return found

    def _encode_tile(self, pixels: ByteArray) -> Tensor:
        """Return float [CHANNELS, h / 8, w / 8] of pixels whose sides are multiples of 32."""
        with torch.inference_mode():
            _, fine4 = self._encoder.early(images_to_tensor(pixels[None]))
            fine4 = fine4 + self._entry4
            fine8 = self._encoder.fine8(fine4) + self._entry8
            fine16, fine32 = self._encoder.coarse(fine8)
            size = fine8.shape[2:]
            coarse = (
                functional.interpolate(f, size=size, mode="bilinear", align_corners=False)
                for f in (fine16, fine32)
            )
            return torch.cat([functional.avg_pool2d(fine4, 2), fine8, *coarse], dim=1)[0]


def load_picture_encoder(weights: Path = SHIPPED_WEIGHTS) -> PictureEncoder:
    """Return the encoder of a click network's file. Raises VersionError where it is missing or damaged."""
    return PictureEncoder(load_network(weights))


def _stretches(length_px: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the tiles along one side; every start is a multiple of the coarsest stride."""
    count = max(1, -(-length_px // _TILE_PX))
    step = -(-length_px // (count * _COARSEST_STRIDE_PX)) * _COARSEST_STRIDE_PX
    for start in range(0, length_px, step):
        yield start, min(start + step, length_px)


def _padded(pixels: ByteArray) -> ByteArray:
    """Return pixels with grey at the right and bottom, so that the sides are multiples of 32."""
    height, width = pixels.shape[:2]
    padded = np.empty(
        (
            -(-height // _COARSEST_STRIDE_PX) * _COARSEST_STRIDE_PX,
            -(-width // _COARSEST_STRIDE_PX) * _COARSEST_STRIDE_PX,
            3,
        ),
        dtype=np.uint8,
    )
    padded[:] = OUTSIDE_RGB
    padded[:height, :width] = pixels
    return padded
