"""A picture at halving sizes, so that any part of it is cut at any scale for what the part costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize

ByteArray = npt.NDArray[np.uint8]
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Pyramid:
    """levels: RGB uint8 [H_k, W_k, 3], the largest first; size: of the picture (frame `orig`) they all show.

    Usually the first level is the picture and each next one is half as large. The levels may lie in a file
    that is mapped into memory, so nobody writes to them.
    """

    levels: tuple[ByteArray, ...]
    size: ImageSize

    @classmethod
    def of(cls, *levels: ByteArray) -> Pyramid:
        """Return the pyramid whose first level is the picture."""
        return cls(levels, size_of(levels[0]))

    def level_for(self, scale: float) -> int:
        """Return the smallest level that has at least `scale` pixels per orig pixel; the largest there is."""
        for k in range(len(self.levels) - 1, 0, -1):
            if self.levels[k].shape[1] >= scale * self.size.width:
                return k
        return 0

    def part(self, left_px: int, top_px: int, right_px: int, bottom_px: int, size: ImageSize) -> ByteArray:
        """Return a part of the picture, given in orig px, resized to `size`, uint8 [h, w, 3].

        Raises ValueError where the part is empty or sticks out of the picture.
        """
        whole = self.size
        if not (0 <= left_px < right_px <= whole.width and 0 <= top_px < bottom_px <= whole.height):
            raise ValueError(
                f"the part {left_px}, {top_px}, {right_px}, {bottom_px} px is not within "
                f"{whole.width} x {whole.height}"
            )
        k = self.level_for(max(size.width / (right_px - left_px), size.height / (bottom_px - top_px)))
        level = self.levels[k]
        height, width = level.shape[:2]
        step_x, step_y = width / whole.width, height / whole.height
        # Rounded to whole pixels of the level, which are hardly larger than those of the result.
        left, top = min(round(left_px * step_x), width - 1), min(round(top_px * step_y), height - 1)
        right, bottom = max(left + 1, round(right_px * step_x)), max(top + 1, round(bottom_px * step_y))
        return resized(level[top:bottom, left:right], size)

    def shrunk(self, longest_px: int) -> ByteArray:
        """Return the whole picture with a longer side of at most `longest_px`, uint8 [h, w, 3]."""
        size = shrunk_size(self.size, longest_px)
        return self.part(0, 0, self.size.width, self.size.height, size)


def size_of(image: ByteArray) -> ImageSize:
    """Return the size of an image [H, W, 3]."""
    return ImageSize(image.shape[1], image.shape[0])


def shrunk_size(size: ImageSize, longest_px: int) -> ImageSize:
    """Return the size of a picture with a longer side of at most `longest_px`, and of at least 1 x 1."""
    scale = min(1.0, longest_px / max(size.width, size.height))
    return ImageSize(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def resized(image: ByteArray, size: ImageSize) -> ByteArray:
    """Return an image [H, W, 3] at another size; shrunk by the mean of areas, as much in either direction."""
    if size == size_of(image):
        return np.ascontiguousarray(image)
    shrinks = size.width <= image.shape[1] and size.height <= image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size.width, size.height), interpolation=method), dtype=np.uint8)


def level_sizes(size: ImageSize, smallest_side_px: int) -> list[ImageSize]:
    """Return the sizes of a pyramid's levels, down to the first whose longer side is at most that."""
    sizes = [size]
    while max(sizes[-1].width, sizes[-1].height) > smallest_side_px:
        sizes.append(ImageSize((sizes[-1].width + 1) // 2, (sizes[-1].height + 1) // 2))
    return sizes


def halved_rows(image: ByteArray) -> Iterator[tuple[int, ByteArray]]:
    """Yield the rows of an image at half its size in blocks, each with its first row's number.

    Blocks, because an image may be larger than memory. An odd row or column is its own half.
    """
    height, width = image.shape[:2]
    half_width = (width + 1) // 2
    for first in range(0, height, _ROWS_AT_ONCE):
        block = image[first : first + _ROWS_AT_ONCE]
        rows, columns = block.shape[0], block.shape[1]
        if rows % 2 or columns % 2:
            block = np.pad(block, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
        half = cv2.resize(block, (half_width, block.shape[0] // 2), interpolation=cv2.INTER_AREA)
        yield first // 2, np.asarray(half, dtype=np.uint8)
