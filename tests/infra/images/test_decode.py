import io
import struct
import tracemalloc
import warnings
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.core.geometry.instances import ImageSize
from backend.errors import FetchError, ImageDecodeError, ImageTooLarge
from backend.infra.images.decode import decode, decode_rgb, decode_shrunk, orientation_of
from tests.infra.images.oriented import TURNED_WH, UPRIGHT_WH, files

LIMIT = 10_000
GRADIENT = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def saved(image, kind="PNG", **options):
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def rgb(image, kind="PNG", **options):
    return decode_rgb(saved(image, kind, **options), LIMIT)


def test_colours_come_as_they_are():
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    got = rgb(Image.fromarray(pixels))
    assert got.dtype == np.uint8 and got.flags.c_contiguous
    assert np.array_equal(got, pixels)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_common_kinds_are_read(kind):
    got = rgb(Image.new("RGB", (8, 6), (200, 100, 50)), kind)
    assert got.shape == (6, 8, 3)
    assert np.abs(got.astype(int) - (200, 100, 50)).max() < 12


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (4, np.flipud),
        (5, lambda a: a.transpose(1, 0, 2)), (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)), (8, np.rot90),
    ],
)  # fmt: skip
def test_exif_orientation_is_applied_as_browsers_do(orientation, turned):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(rgb(Image.fromarray(pixels), exif=exif), turned(pixels))


@pytest.mark.parametrize(
    ("content", "is_turned"), [pytest.param(content, turned, id=name) for name, _, content, turned in files()]
)
def test_orientations_that_browsers_do_not_follow_are_not_followed(content, is_turned):
    height, width = decode_rgb(content, LIMIT).shape[:2]
    assert (width, height) == (TURNED_WH if is_turned else UPRIGHT_WH)
    assert orientation_of(content) == (6 if is_turned else 1)


def test_the_orientation_of_what_is_no_image():
    with pytest.raises(ImageDecodeError, match="web page"):
        orientation_of(b"<html></html>")


@pytest.mark.parametrize(("orientation", "shape"), [(1, (6, 8)), (6, (8, 6)), (0, (6, 8)), (9, (6, 8))])
def test_the_orientation_of_a_tiff_is_a_tag_of_the_format(orientation, shape):
    got = rgb(Image.new("RGB", (8, 6)), "TIFF", tiffinfo={0x0112: orientation})
    assert got.shape[:2] == shape


def test_broken_exif_is_passed_over():
    content = saved(Image.new("RGB", (8, 6), "red"), "JPEG")
    broken = content[:2] + b"\xff\xe1\x00\x10Exif\0\0" + b"\xff" * 8 + content[2:]
    assert decode_rgb(broken, LIMIT).shape == (6, 8, 3)


def test_sixteen_bit_grey_is_scaled_and_not_cut():
    deep = (np.arange(48, dtype=np.uint16).reshape(6, 8) * 1394).astype(np.uint16)
    got = rgb(Image.fromarray(deep))
    assert np.array_equal(got[:, :, 0], np.rint(deep / 257).astype(np.uint8))
    assert np.array_equal(got[:, :, 0], got[:, :, 2])


def test_wide_numbers_are_scaled_by_their_range():
    wide = np.array([[-5.0, 0.0], [5.0, np.nan]], np.float32)
    assert rgb(Image.fromarray(wide), "TIFF")[:, :, 0].tolist() == [[0, 128], [255, 128]]
    assert rgb(Image.fromarray(np.full((2, 2), 3.5, np.float32)), "TIFF").max() == 0
    assert rgb(Image.fromarray(np.array([[0, 65535]], np.int32)), "TIFF")[0, :, 0].tolist() == [0, 255]


def test_one_bit():
    bits = Image.fromarray(np.array([[True, False], [False, True]]))
    assert bits.mode == "1"
    assert rgb(bits)[:, :, 1].tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    assert rgb(image.convert(mode))[0].tolist() == [[255] * 3, [0] * 3]


def test_a_palette_with_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert rgb(image)[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    assert rgb(image, transparency=0)[0].tolist() == [[255] * 3, [200, 100, 50]]
    assert rgb(image, transparency=b"\x00\xff")[0].tolist() == [[255] * 3, [200, 100, 50]]


def test_grey_and_rgb_with_a_transparent_colour():
    grey = Image.fromarray(GRADIENT)
    assert rgb(grey, transparency=0)[0, :2, 0].tolist() == [255, 5]
    assert rgb(Image.new("RGB", (1, 1), (1, 2, 3)), transparency=(1, 2, 3)).tolist() == [[[255] * 3]]


def test_cmyk_jpeg():
    got = rgb(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG")
    assert np.abs(got.astype(int) - (255, 0, 0)).max() < 20


def test_an_animation_shows_its_first_frame():
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    got = rgb(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert got[0, 0].tolist() == [255, 0, 0]


def png_of(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", start)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_huge_image_is_refused_by_its_header():
    with pytest.raises(ImageTooLarge, match=r"25000 x 20000.*IMAGE_MAX_PIXELS"):
        decode_rgb(png_of(25_000, 20_000), 100_000_000)
    with pytest.raises(ImageTooLarge):
        decode_rgb(saved(Image.new("L", (101, 100))), LIMIT)
    assert decode_rgb(saved(Image.new("L", (100, 100))), LIMIT).shape == (100, 100, 3)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "0 bytes"),
        (b"\n <!DOCTYPE html><title>Log in</title>", "web page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'{"detail": "not found"}', "error message"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "error message"),
        (b"GIF89a", "no image"),
        (b"\xff\xd8\xff\xe0", "no image"),
        (b"\0" * 1000, "no image"),
        (b"\x80\x04\x95pickle", "no image"),
        (png_of(4, 4), "cut off"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC.*JPEG"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + bytes(99), "AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), "video"),
        (b"\x1a\x45\xdf\xa3webm" + bytes(99), "video"),
        (b"%PDF-1.7\n" + bytes(99), "PDF"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM"),
        (b"PK\x03\x04" + bytes(99), "zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(content, match):
    with pytest.raises(ImageDecodeError, match=match) as caught:
        decode_rgb(content, LIMIT)
    assert "object at 0x" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_truncated_file_is_an_error_and_not_half_an_image(kind):
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    whole = saved(Image.fromarray(noise), kind)
    for share in (0.2, 0.5, 0.9):
        with pytest.raises(ImageDecodeError):
            decode_rgb(whole[: int(len(whole) * share)], LIMIT)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]), data=st.data())
def test_broken_bytes_end_as_a_fetch_error_without_warnings(kind, data):
    content = bytearray(saved(Image.fromarray(GRADIENT), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            got = decode_rgb(bytes(content), LIMIT)
        except FetchError:
            return
    assert got.dtype == np.uint8 and got.ndim == 3 and got.shape[2] == 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_as_a_fetch_error(content):
    with pytest.raises(FetchError):
        decode_rgb(content, LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_are_stretched_by_their_own_range(kind):
    deep = np.linspace(100, 3900, 48).astype(np.uint16).reshape(6, 8)
    decoded = decode(saved(Image.fromarray(deep), kind), LIMIT)
    assert decoded.stretched == (100, 3900)
    assert np.array_equal(decoded.pixels[:, :, 1], np.rint((deep - 100.0) * (255 / 3800)).astype(np.uint8))
    full = decode(saved(Image.fromarray((deep * 16).astype(np.uint16)), kind), LIMIT)
    assert full.stretched is None
    assert full.pixels[-1, -1, 0] == round(3900 * 16 / 257)


@pytest.mark.parametrize("kind", [".png", ".tif"])
def test_twelve_bits_of_colour_are_stretched_all_channels_alike(kind):
    colours = np.zeros((4, 5, 3), np.uint16)
    colours[..., 0], colours[..., 2] = 500, 2000  # as OpenCV orders them: blue, and red
    colours[0, 0] = (0, 4000, 0)
    done, content = cv2.imencode(kind, colours)
    decoded = decode(content.tobytes(), LIMIT)
    assert done and decoded.stretched == (0, 4000)
    assert decoded.pixels[1, 1].tolist() == [128, 0, 32] and decoded.pixels[0, 0].tolist() == [0, 255, 0]
    colours[0, 0] = (0, 65535, 0)
    assert decode(cv2.imencode(kind, colours)[1].tobytes(), LIMIT).stretched is None


def test_what_is_read_for_a_small_look_is_the_picture_with_its_true_size():
    upright = np.full((300, 900, 3), 200, np.uint8)
    upright[:, :450] = (200, 30, 30)
    for kind, exif in (("JPEG", 1), ("JPEG", 6), ("PNG", 1)):
        tags = Image.Exif()
        tags[0x0112] = exif
        stored = upright if exif == 1 else np.rot90(upright)
        content = saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=tags)
        small, size = decode_shrunk(content, 1_000_000, 90)
        assert (size.width, size.height) == (900, 300) and small.shape == (30, 90, 3)
        assert np.abs(small[15, 20].astype(int) - (200, 30, 30)).max() < 8
        assert np.abs(small[15, 70].astype(int) - 200).max() < 8


@pytest.mark.parametrize(("width", "height"), [(30_000, 1), (1, 30_000), (1, 1)])
def test_odd_shapes_are_read(width, height):
    content = saved(Image.new("RGB", (width, height), (7, 8, 9)))
    assert decode_rgb(content, 100_000).shape == (height, width, 3)
    small, size = decode_shrunk(content, 100_000, 192)
    assert max(small.shape[:2]) == min(192, max(width, height)) and size == ImageSize(width, height)


def tiled_tiff(lies=None):
    """Return a TIFF of 64 x 64 pixels in four deflated tiles; lies: other values by number of tag."""
    tile = zlib.compress(np.full((32, 32, 3), 80, np.uint8).tobytes())
    tiles_at, arrays_at = 8, 8 + 4 * len(tile)
    offsets = struct.pack("<4I", *(tiles_at + k * len(tile) for k in range(4)))
    lengths, depths = struct.pack("<4I", *[len(tile)] * 4), struct.pack("<3H", 8, 8, 8)
    tags = {
        256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 3, arrays_at + 32), 259: (3, 1, 8), 262: (3, 1, 2),
        277: (3, 1, 3), 284: (3, 1, 1), 322: (4, 1, 32), 323: (4, 1, 32),
        324: (4, 4, arrays_at), 325: (4, 4, arrays_at + 16),
    }  # fmt: skip
    tags |= {number: (tags[number][0], tags[number][1], value) for number, value in (lies or {}).items()}
    entries = b"".join(struct.pack("<HHII", number, *entry) for number, entry in sorted(tags.items()))
    start = struct.pack("<2sHI", b"II", 42, arrays_at + 40)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return start + tile * 4 + offsets + lengths + depths + b"\0\0" + directory


def test_a_tiled_tiff_is_read():
    assert np.array_equal(decode_rgb(tiled_tiff(), LIMIT), np.full((64, 64, 3), 80, np.uint8))


@pytest.mark.parametrize(
    "tags",
    [
        {322: 2**31 - 16, 323: 2**31 - 16},  # tiles larger than any memory
        {322: 2**15, 323: 2**15},
        {322: 16, 323: 16},  # more tiles than there are
        {322: 0, 323: 0},
        {256: 90_000, 257: 90_000},  # more pixels than allowed
        {256: 5000, 257: 1000},  # more pixels than the tiles hold
        {324: 2**31},  # where the tiles are is beyond the end of the file
        {325: 2**31},
        {277: 200},  # channels
    ],
    ids=str,
)
def test_a_tiff_that_lies_about_its_tiles_is_refused_or_read_at_its_size(tags):
    content = tiled_tiff(tags)
    tracemalloc.start()
    try:
        pixels = decode_rgb(content, 10_000_000)
    except FetchError:
        pass
    else:
        assert pixels.nbytes <= 3 * 10_000_000
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 200_000_000
