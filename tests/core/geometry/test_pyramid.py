from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import Pyramid, halved_rows, level_sizes, shrunk_size


def pyramid_of(image, smallest_side_px=8):
    levels = [image]
    for size in level_sizes(ImageSize(image.shape[1], image.shape[0]), smallest_side_px)[1:]:
        level = np.zeros((size.height, size.width, 3), np.uint8)
        for first, rows in halved_rows(levels[-1]):
            level[first : first + len(rows)] = rows
        levels.append(level)
    return Pyramid.of(*levels)


def ramp(height, width):
    """Return a picture whose red tells the column and whose green tells the row."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = np.arange(width)[None] % 256
    image[:, :, 1] = np.arange(height)[:, None] % 256
    return image


@pytest.mark.parametrize(("height", "width"), [(64, 128), (1, 100), (37, 101), (1100, 3)])
def test_levels_are_means_of_the_pixels_below(height, width):
    pyramid = pyramid_of(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))
    assert max(pyramid.levels[-1].shape[:2]) <= 8
    for larger, smaller in zip(pyramid.levels[:-1], pyramid.levels[1:], strict=True):
        rows, columns = larger.shape[0] // 2 * 2, larger.shape[1] // 2 * 2
        if not rows or not columns:
            continue
        means = larger[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2, 3).mean(axis=(1, 3))
        assert np.abs(smaller[: rows // 2, : columns // 2] - means).max() <= 1


def test_a_part_at_full_size_is_cut_from_the_picture_itself():
    image = ramp(200, 250)
    assert np.array_equal(
        pyramid_of(image).part(13, 27, 113, 127, ImageSize(100, 100)), image[27:127, 13:113]
    )


@pytest.mark.parametrize("times", [2, 3, 4, 7])
def test_a_shrunk_part_shows_the_same_place(times):
    pyramid = pyramid_of(ramp(256, 256))
    assert pyramid.level_for(1 / times) > 0
    shown = pyramid.part(32, 16, 32 + 24 * times, 16 + 24 * times, ImageSize(24, 24)).astype(float)
    wanted = 32 + (np.arange(24) + 0.5) * times - 0.5
    assert np.abs(shown[12, :, 0] - wanted).max() <= times
    assert np.abs(shown[:, 12, 1] - (wanted - 16)).max() <= times


def test_a_picture_one_pixel_high_is_shrunk():
    assert pyramid_of(np.full((1, 3000, 3), 90, np.uint8)).shrunk(100).shape == (1, 100, 3)
    assert shrunk_size(ImageSize(30_000, 1), 640) == ImageSize(640, 1)


def test_what_sticks_out_is_refused():
    with pytest.raises(ValueError, match="not within 20 x 10"):
        Pyramid.of(ramp(10, 20)).part(0, 0, 21, 5, ImageSize(4, 4))
