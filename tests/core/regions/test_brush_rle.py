import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_studio_sdk.converter.brush import decode_rle as sdk_decode
from label_studio_sdk.converter.brush import encode_rle as sdk_encode

from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.regions.brush_rle import decode_brush_rle, encode_brush_rle, encode_patch_rle

CAPTURES = Path(__file__).parents[2] / "contract" / "captures"


def mask_of(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def rgba(mask):
    return np.repeat(mask[..., None].astype(np.uint8) * 255, 4, axis=2)


def noise(height, width, share, seed=0):
    return np.random.default_rng(seed).random((height, width)) < share


def blobs(height, width, seed=0):
    grain = np.random.default_rng(seed).random((height, width))
    return cv2.GaussianBlur(grain, (0, 0), 8) > 0.5


MASKS = {
    "one pixel set": mask_of("#"),
    "one pixel unset": mask_of("."),
    "empty": np.zeros((40, 60), dtype=bool),
    "full": np.ones((40, 60), dtype=bool),
    "first and last pixel": mask_of("#...", "....", "...#"),
    "runs over row ends": mask_of("..##", "##..", "####", "...."),
    "chequered": np.indices((9, 13)).sum(axis=0) % 2 == 0,
    "noise": noise(50, 70, 0.5),
    "blobs": blobs(120, 160),
    "run of 65536 values": np.repeat([False, True, False], [16384, 16384, 5])[None],
    "run of 65540 values": np.repeat([True, False], [16385, 7])[None],
    "long runs": np.repeat([True, False, True], [100_000, 50_000, 70_001])[:, None],
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_sdk_decodes_exactly_what_was_encoded(mask):
    values = encode_brush_rle(mask)
    assert all(type(value) is int and 0 <= value <= 255 for value in values)
    decoded = sdk_decode(values)
    np.testing.assert_array_equal(decoded.reshape(*mask.shape, 4), rgba(mask))


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_there_and_back(mask):
    height, width = mask.shape
    decoded = decode_brush_rle(encode_brush_rle(mask), ImageSize(width, height))
    np.testing.assert_array_equal(decoded, mask * np.uint8(255))


@pytest.mark.parametrize(
    "mask", [MASKS["noise"], MASKS["blobs"], MASKS["empty"]], ids=["noise", "blobs", "empty"]
)
def test_what_the_sdk_encodes_is_decoded(mask):
    height, width = mask.shape
    decoded = decode_brush_rle(sdk_encode(rgba(mask).ravel()), ImageSize(width, height))
    np.testing.assert_array_equal(decoded, mask * np.uint8(255))


@pytest.mark.parametrize("capture", ["accepted_brush", "answer_all_shapes"])
def test_a_recorded_region_is_decoded_like_the_sdk_does(capture):
    results = json.loads((CAPTURES / f"{capture}.json").read_text())["annotation_result"]
    (region,) = [result for result in results if result["type"] == "brushlabels"]
    width, height = region["original_width"], region["original_height"]
    alpha = decode_brush_rle(region["value"]["rle"], ImageSize(width, height))
    expected = sdk_decode(region["value"]["rle"]).reshape(height, width, 4)[..., 3]
    np.testing.assert_array_equal(alpha, expected)
    assert 0 < np.count_nonzero(alpha) < alpha.size


@pytest.mark.parametrize(("left", "top"), [(0, 0), (7, 0), (0, 5), (3, 2)], ids=str)
@pytest.mark.parametrize("window", ["noise", "full"])
def test_a_patch_is_encoded_like_its_whole_mask(left, top, window):
    size = ImageSize(40, 30)
    bits = noise(25, 33, 0.4) if window == "noise" else np.ones((25, 33), dtype=bool)
    patch = MaskPatch(left, top, bits)
    assert encode_patch_rle(patch, size) == encode_brush_rle(patch.full(size))


def test_a_patch_as_wide_as_the_image_is_one_run():
    patch = MaskPatch(0, 10, np.ones((300, 500), dtype=bool))
    assert len(encode_patch_rle(patch, ImageSize(500, 400))) < 60


def test_a_patch_that_sticks_out_is_refused():
    with pytest.raises(ValueError, match=r"5x5 at \(8, 0\) sticks out of 10x10"):
        encode_patch_rle(MaskPatch(8, 0, np.ones((5, 5), dtype=bool)), ImageSize(10, 10))


def test_an_image_of_more_values_than_32_bits_is_refused():
    with pytest.raises(ValueError, match="too many pixels"):
        encode_patch_rle(MaskPatch(0, 0, np.ones((1, 1), dtype=bool)), ImageSize(40_000, 40_000))


@pytest.mark.parametrize(
    "mask", [MASKS["noise"], MASKS["blobs"], MASKS["chequered"]], ids=["noise", "blobs", "cheq"]
)
def test_no_longer_than_the_sdk_would_make_it(mask):
    assert len(encode_brush_rle(mask)) <= len(sdk_encode(rgba(mask).ravel()))


def test_a_ragged_full_hd_mask_is_small_and_quick():
    mask = blobs(1080, 1920)
    encode_brush_rle(mask[:10, :10])
    started = time.perf_counter()
    values = encode_brush_rle(mask)
    assert time.perf_counter() - started < 0.5  # 10 ms on an idle machine
    assert len(json.dumps(values)) < 700_000
    started = time.perf_counter()
    decode_brush_rle(values, ImageSize(1920, 1080))
    assert time.perf_counter() - started < 2


def literal_code(values):
    """One literal block of 8-bit values, at most 16 of them, with length fields of 4 bits."""
    bits = f"{len(values):032b}" + "00111" + "0011" * 4 + "000" + f"{len(values) - 1:04b}"
    bits += "".join(f"{value:08b}" for value in values)
    return [int(bits[k : k + 8].ljust(8, "0"), 2) for k in range(0, len(bits), 8)]


def test_literal_values_give_soft_alpha():
    values = [9, 8, 7, 10, 1, 2, 3, 0, 255, 0, 0, 128]
    np.testing.assert_array_equal(sdk_decode(literal_code(values)), values)
    np.testing.assert_array_equal(decode_brush_rle(literal_code(values), ImageSize(3, 1)), [[10, 0, 128]])


def test_blocks_may_end_within_a_pixel():
    # Seven values as literals, then one repeated five times: alpha is values 3, 7 and 11.
    bits = f"{12:032b}" + "00111" + "0011" * 4
    bits += (
        "000" + f"{6:04b}" + "".join(f"{value:08b}" for value in range(7)) + "100" + f"{4:04b}" + f"{77:08b}"
    )
    code = [int(bits[k : k + 8].ljust(8, "0"), 2) for k in range(0, len(bits), 8)]
    np.testing.assert_array_equal(sdk_decode(code)[3::4], [3, 77, 77])
    np.testing.assert_array_equal(decode_brush_rle(code), [3, 77, 77])


def test_rgb_is_not_looked_at():
    image = np.zeros((6, 9, 4), dtype=np.uint8)
    image[..., 0] = 200  # erased: a colour without alpha
    image[2:4, 3:7, 3] = 255
    decoded = decode_brush_rle(sdk_encode(image.ravel()), ImageSize(9, 6))
    np.testing.assert_array_equal(decoded, image[..., 3])


GOOD = encode_brush_rle(MASKS["noise"])
SIZE = ImageSize(70, 50)


def with_header(count, word_bits=8, code=GOOD):
    header = f"{count:032b}{word_bits - 1:05b}"
    rest = f"{int.from_bytes(bytes(code), 'big'):0{8 * len(code)}b}"[37:]
    bits = header + rest
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(None, "list of numbers", id="null"),
        pytest.param("AAAA", "list of numbers", id="text"),
        pytest.param(2 * 10**9, "list of numbers", id="one number"),
        pytest.param(10**400, "list of numbers", id="one number beyond all sizes"),
        pytest.param([1.5, 2], "list of numbers", id="floats"),
        pytest.param([0, 256], "list of numbers", id="over a byte"),
        pytest.param([-1], "list of numbers", id="negative"),
        pytest.param([[1], [2]], "list of numbers", id="nested"),
        pytest.param([], "has 0 bytes", id="empty"),
        pytest.param(GOOD[:6], "has 6 bytes", id="half a header"),
        pytest.param(GOOD[:7], "after 0 of", id="header only"),
        pytest.param(GOOD[: len(GOOD) // 2], "of 14000 values", id="cut short"),
        pytest.param(GOOD[:-1], "of 14000 values", id="last byte missing"),
        pytest.param(with_header(0), "announces 0 values", id="no values"),
        pytest.param(with_header(13_999), "announces 13999 values", id="no whole pixel"),
        pytest.param(with_header(2**32 - 4), "at most", id="too many pixels"),
        pytest.param(with_header(13_996), "3499 pixels, the image is 70x50", id="another size"),
        pytest.param(with_header(14_000, word_bits=16), "words of 16 bits", id="wide words"),
    ],
)
def test_broken_codes_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        decode_brush_rle(values, SIZE)


def test_a_run_past_the_end_is_refused():
    with pytest.raises(ValueError, match="broken after"):
        decode_brush_rle(with_header(4, code=encode_brush_rle(MASKS["full"])), ImageSize(1, 1))


def test_a_claimed_size_costs_no_more_than_the_limit():
    tiny_code_of_a_huge_mask = with_header(400_000_000)
    with pytest.raises(ValueError, match="at most 1000 pixels"):
        decode_brush_rle(tiny_code_of_a_huge_mask, max_pixels=1000)


def test_a_large_uniform_mask_is_quick_to_decode():
    side = 8000
    values = encode_patch_rle(MaskPatch(0, 0, np.ones((1, 1), dtype=bool)), ImageSize(side, side))
    started = time.perf_counter()
    assert np.count_nonzero(decode_brush_rle(values, ImageSize(side, side))) == 1
    assert time.perf_counter() - started < 2


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_any_mask_comes_back_exactly(mask):
    height, width = mask.shape
    values = encode_brush_rle(mask)
    np.testing.assert_array_equal(decode_brush_rle(values, ImageSize(width, height)) > 0, mask)
    np.testing.assert_array_equal(sdk_decode(values).reshape(height, width, 4), rgba(mask))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(4))))
def test_any_picture_is_decoded_like_the_sdk_does(picture):
    height, width, _ = picture.shape
    decoded = decode_brush_rle(sdk_encode(picture.ravel()), ImageSize(width, height))
    np.testing.assert_array_equal(decoded, picture[..., 3])


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(1, 300))
def test_any_bytes_are_decoded_or_refused(data, pixels):
    code = with_header(4 * pixels, code=data) if len(data) > 7 else list(data)
    try:
        decoded = decode_brush_rle(code)
    except ValueError:
        return
    np.testing.assert_array_equal(decoded, sdk_decode(code)[3::4])
