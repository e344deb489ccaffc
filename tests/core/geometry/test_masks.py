import time

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.geometry.masks import (
    alpha_to_mask,
    clean_patch,
    connected_parts,
    count_parts,
    deepest_pixel,
    join_patches,
    patch_box,
    tight_patch,
)


def bits_of(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def test_a_tight_patch_keeps_its_place():
    patch = tight_patch(bits_of("....", ".##.", ".#..", "...."), left_px=10, top_px=20)
    assert (patch.left_px, patch.top_px) == (11, 21)
    np.testing.assert_array_equal(patch.bits, bits_of("##", "#."))
    assert patch_box(patch).tolist() == [11, 21, 13, 23]


def test_nothing_set_is_no_patch():
    assert tight_patch(np.zeros((3, 4), dtype=bool), 0, 0) is None


def test_the_deepest_pixel_is_in_the_thick_part():
    patch = MaskPatch(10, 20, bits_of("#......", "###....", "#######", "###....", "###...."))
    assert deepest_pixel(patch) == (11, 22)


def test_joined_patches_cover_what_each_covers():
    size = ImageSize(30, 20)
    parts = [
        MaskPatch(2, 3, bits_of("##", "##")),
        MaskPatch(3, 4, bits_of("#.#")),
        MaskPatch(20, 10, bits_of("#")),
    ]
    joined = join_patches(parts)
    expected = parts[0].full(size) | parts[1].full(size) | parts[2].full(size)
    np.testing.assert_array_equal(joined.full(size), expected)
    assert patch_box(joined).tolist() == [2, 3, 21, 11]


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        pytest.param([0, 255, 255, 0], [0, 1, 1, 0], id="hard"),
        pytest.param([1, 127, 128, 255], [0, 0, 1, 1], id="soft rim"),
        pytest.param([0, 100, 100, 40], [0, 1, 1, 0], id="translucent all over"),
        pytest.param([1, 1, 0, 0], [1, 1, 0, 0], id="barely there"),
        pytest.param([0, 0, 0, 0], [0, 0, 0, 0], id="nothing"),
    ],
)
def test_soft_alpha_is_cut_at_half_of_its_greatest(alpha, expected):
    mask = alpha_to_mask(np.array([alpha], dtype=np.uint8), ImageSize(4, 1))
    assert mask.dtype == np.bool_ and mask[0].tolist() == [bool(value) for value in expected]


@pytest.mark.parametrize("size", [ImageSize(80, 40), ImageSize(10, 5), ImageSize(33, 21)], ids=str)
def test_a_mask_of_another_size_is_resized(size):
    alpha = np.zeros((20, 40), dtype=np.uint8)
    alpha[:, 20:] = 255
    mask = alpha_to_mask(alpha, size)
    assert mask.shape == (size.height, size.width)
    assert abs(mask.mean() - 0.5) < 0.04
    assert not mask[:, : size.width // 2 - 1].any() and mask[:, size.width // 2 + 1 :].all()


def square_with(*spots):
    bits = np.zeros((40, 40), dtype=bool)
    bits[5:25, 5:25] = True
    for rows, columns, value in spots:
        bits[rows, columns] = value
    return bits


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        pytest.param(square_with(), square_with(), id="usual"),
        pytest.param(square_with((35, 35, True)), square_with(), id="speck"),
        pytest.param(square_with((10, 10, False)), square_with(), id="pinhole"),
        pytest.param(
            square_with((slice(30, 36), slice(30, 36), True)),
            square_with((slice(30, 36), slice(30, 36), True)),
            id="second part",
        ),
        pytest.param(
            square_with((slice(10, 18), slice(10, 18), False)),
            square_with((slice(10, 18), slice(10, 18), False)),
            id="hole",
        ),
        pytest.param(bits_of("#.", ".."), bits_of("#.", ".."), id="one pixel stays"),
        pytest.param(np.ones((4, 4), dtype=bool), np.ones((4, 4), dtype=bool), id="full window"),
    ],
)
def test_cleaning_takes_specks_and_pinholes(bits, expected):
    size = ImageSize(60, 60)
    given = MaskPatch(3, 4, bits)
    before = bits.copy()
    np.testing.assert_array_equal(clean_patch(given).full(size), MaskPatch(3, 4, expected).full(size))
    np.testing.assert_array_equal(given.bits, before)


def test_holes_are_measured_against_the_object_and_not_its_window():
    bits = np.zeros((200, 200), dtype=bool)
    bits[5:25, 5:25] = True
    bits[10:13, 10:13] = False
    np.testing.assert_array_equal(clean_patch(MaskPatch(0, 0, bits)).full(ImageSize(200, 200)), bits)


def test_a_notch_in_the_border_is_no_hole():
    bits = square_with()[5:25, 5:25].copy()
    bits[0, 7] = False
    np.testing.assert_array_equal(clean_patch(MaskPatch(0, 0, bits)).bits, bits)


@pytest.mark.parametrize(
    ("bits", "parts"),
    [
        pytest.param(bits_of("..", ".."), 0, id="nothing"),
        pytest.param(bits_of("#.", ".#"), 1, id="touch at a corner"),
        pytest.param(bits_of("#.#", "#.#"), 2, id="apart"),
        pytest.param(bits_of("#####", "#...#", "#.#.#", "#...#", "#####"), 2, id="one inside another"),
    ],
)
def test_parts_are_counted(bits, parts):
    assert count_parts(bits) == parts
    assert count_parts(np.asfortranarray(bits)) == parts


def test_cleaning_nothing_gives_nothing():
    assert clean_patch(MaskPatch(0, 0, np.zeros((3, 3), dtype=bool))) is None


def test_parts_that_touch_nowhere_are_cut_to_their_own_pixels():
    first, second = connected_parts(bits_of("##..", "#..#", "...#"))
    assert (first.left_px, first.top_px, second.left_px, second.top_px) == (0, 0, 3, 1)
    np.testing.assert_array_equal(first.bits, bits_of("##", "#."))
    np.testing.assert_array_equal(second.bits, bits_of("#", "#"))


def test_hundreds_of_parts_of_a_large_image_take_no_seconds():
    bits = np.zeros((2400, 2400), dtype=bool)
    for k in range(600):
        row, column = divmod(k, 25)
        bits[row * 100 + 10 : row * 100 + 60, column * 96 + 10 : column * 96 + 60] = True
    started = time.process_time()
    assert len(connected_parts(bits)) == 600
    assert time.process_time() - started < 0.5
