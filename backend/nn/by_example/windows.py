"""Windows of the examples' sizes, laid over a picture that is seen at several scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize, IntArray
from backend.nn.by_example.features import STRIDE_PX

SIDE_PX, LEAST_SIDE_PX = 56.0, 32.0
"""How large things are seen: root of a window's area in the resized picture; less in large pictures."""
WANTED_PIXELS, MOST_PIXELS = 1_500_000, 3_000_000
"""Of a resized picture; more would take seconds, so the smallest things of a large one are not seen."""
MOST_PIXELS_OF_OTHERS = 4 * MOST_PIXELS
"""Of a resized picture that is larger than the examples; the memory for its features grows with it."""
OCTAVES_BEYOND = math.log2(1.5)
"""How much smaller and larger than the examples things are looked for."""
RARELY_SMALLER = 0.05
"""Share of the examples that are smaller, and larger, than what counts for the sizes."""
SIZES_PER_OCTAVE = 3


@dataclass(frozen=True)
class WindowSize:
    """One size in which things of a label are looked for.

    level: the picture is resized by 2 ** level. width_px, height_px: in the resized picture.
    """

    label_index: int
    level: int
    width_px: float
    height_px: float

    @property
    def scale(self) -> float:
        """Pixels of the resized picture per pixel of the picture."""
        return 2.0**self.level

    @property
    def sides_px(self) -> FloatArray:
        """Width and height [2]."""
        return np.array([self.width_px, self.height_px], dtype=np.float32)

    def windows(self, rows: int, columns: int) -> FloatArray:
        """Return a window around the centre of each cell, xyxy [rows * columns, 4] in the resized picture."""
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        centres = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * STRIDE_PX
        return np.concatenate([centres - self.sides_px / 2, centres + self.sides_px / 2], axis=1)


def window_sizes(
    boxes_xyxy_px: FloatArray, label_indices: IntArray, pictures: Sequence[ImageSize]
) -> tuple[WindowSize, ...]:
    """Return the sizes to look in, from the examples' boxes [N, 4] and labels [N]; N is at least 1.

    pictures: the sizes of the pictures that the examples stand in.
    """
    sides = np.maximum(boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2], 1.0).astype(np.float64)
    lengths, aspects = np.sqrt(sides.prod(axis=1)), sides[:, 0] / sides[:, 1]
    most_pixels = max(size.width * size.height for size in pictures)
    highest = highest_level(most_pixels, MOST_PIXELS)
    found: list[WindowSize] = []
    for label in np.unique(label_indices).tolist():
        mine = label_indices == label
        stretch = math.sqrt(math.exp(float(np.median(np.log(aspects[mine])))))
        few, many = np.quantile(np.log2(lengths[mine]), [RARELY_SMALLER, 1 - RARELY_SMALLER])
        smallest, largest = float(few) - OCTAVES_BEYOND, float(many) + OCTAVES_BEYOND
        side = _side_px(2**smallest, most_pixels)
        first, last = (round(octave * SIZES_PER_OCTAVE) for octave in (smallest, largest))
        for number in range(first, last + 1):
            length = 2.0 ** (number / SIZES_PER_OCTAVE)
            level = round(math.log2(side / length))
            if level > highest and number < last:
                continue
            level = min(level, highest)
            seen = length * 2.0**level
            found.append(WindowSize(label, level, seen * stretch, seen / stretch))
    return tuple(found)


def highest_level(pixels: int, most_pixels: int) -> int:
    """Return the highest level at which a picture of so many pixels has at most `most_pixels`."""
    return math.floor(math.log2(math.sqrt(most_pixels / pixels)))


def _side_px(smallest_px: float, most_pixels: int) -> float:
    """Return how large the smallest things can be seen without too large a picture."""
    return float(np.clip(smallest_px * math.sqrt(WANTED_PIXELS / most_pixels), LEAST_SIDE_PX, SIDE_PX))
