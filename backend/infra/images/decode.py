"""Bytes of an image file to pixels, as a browser shows them."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import resized, shrunk_size
from backend.errors import FetchError, ImageDecodeError, ImageTooLarge
from backend.pixel_room import PixelRoom

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = frozenset(turn for orientation, turn in _TURNS.items() if orientation >= 5)
# In these, browsers follow an orientation in EXIF; in no other, and nowhere one in XMP. Source: Chromium 156,
# asked by tests/browser/test_orientation.py. Pillow gives an AVIF container's own turn as if it were EXIF.
_EXIF_FOLLOWED_IN = frozenset({"JPEG", "MPO", "PNG", "AVIF"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
_OTHER_FILES = (  # how a file begins, at which byte, what it is
    (b"%PDF-", 0, "a PDF came; only images can be read: import its pages as images"),
    (b"DICM", 128, "a DICOM file came; only images can be read: export it as PNG"),
    (b"PK\x03\x04", 0, "a zip archive came; only images can be read"),
    (b"\x1a\x45\xdf\xa3", 0, "a video came; only images can be read"),
    (
        b"version https://git-lfs.github.com/spec/",
        0,
        "a pointer of Git LFS came and not the image; run `git lfs pull` where the images lie",
    ),
)
# Python keeps one list of warning filters for all threads; only one thread at a time may swap it.
_warning_filters = threading.Lock()
_ROWS_AT_ONCE = 256
_MICROSCOPE_MAX = 4095
"""16-bit pictures whose values stay within 12 bits are a camera's own numbers: a browser shows them black."""

Pixels = npt.NDArray[np.uint8]
Allocate = Callable[[int, int], Pixels]
"""Returns uint8 [height, width, 3] to be filled: in memory, or in a file that is mapped."""


def _in_memory(height: int, width: int) -> Pixels:
    return np.empty((height, width, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Decoded:
    """pixels: uint8 [H, W, 3]; stretched: the lowest and highest 16-bit value that became 0 and 255.

    stretched is None for all pictures but those of 16 bits that use 12 of them at most.
    """

    pixels: Pixels
    stretched: tuple[int, int] | None = None


def decode_rgb(content: bytes, max_pixels: int) -> Pixels:
    """Return the pixels of `decode`."""
    return decode(content, max_pixels).pixels


def decode(
    content: bytes, max_pixels: int, *, allocate: Allocate = _in_memory, room: PixelRoom | None = None
) -> Decoded:
    """Return the picture: turned as browsers do, first frame, alpha over white, 16 bit scaled to 8.

    16 bits are scaled by their full range, as browsers do; where 12 of them are used, by the range they use.
    Raises ImageTooLarge, before any pixel is decoded, and ImageDecodeError.
    """
    with _read(content, max_pixels) as image:
        turn, is_deep = _turn_of(image), _is_deep(image)
        with room.taken(image.width * image.height) if room is not None else contextlib.nullcontext():
            image.load()
            # Asked after reading: a TIFF is turned by Pillow itself.
            width, height = image.size
            pixels = allocate(*((width, height) if turn in _QUARTER_TURNS else (height, width)))
            return Decoded(pixels, _fill(image, content, _as_stored(pixels, turn), is_deep=is_deep))


def decode_shrunk(
    content: bytes, max_pixels: int, longest_px: int, *, room: PixelRoom | None = None
) -> tuple[Pixels, ImageSize]:
    """Return the picture of `decode` with a longer side of at most `longest_px`, and its true size.

    A JPEG is decoded at an eighth of its size or more, as far as that suffices: it costs a fraction.
    """
    with _read(content, max_pixels) as image:
        size, turn, is_deep = image.size, _turn_of(image), _is_deep(image)
        longest = max(size)
        if image.format == "JPEG" and longest > 2 * longest_px:
            enough = 2 * longest_px / longest
            image.draft(None, (round(image.width * enough), round(image.height * enough)))
        with room.taken(image.width * image.height) if room is not None else contextlib.nullcontext():
            image.load()
            size = image.size if image.format == "TIFF" else size
            width, height = image.size
            pixels = _in_memory(*((width, height) if turn in _QUARTER_TURNS else (height, width)))
            _fill(image, content, _as_stored(pixels, turn), is_deep=is_deep)
    size = size[::-1] if turn in _QUARTER_TURNS else size
    true_size = ImageSize(*size)
    return resized(pixels, shrunk_size(true_size, longest_px)), true_size


def orientation_of(content: bytes) -> int:
    """Return the EXIF orientation by which `decode_rgb` turns an image: 1 to 8, 1 where it does not."""
    try:
        with _quiet_open(content) as image:
            turn = _turn_of(image)
    except Exception as exc:  # as in decode_rgb
        raise ImageDecodeError(_what_came(content, exc)) from exc
    return next((orientation for orientation, known in _TURNS.items() if known is turn), 1)


def size_in_header(content: bytes) -> ImageSize | None:
    """Return the size that a file says its picture has, not turned; None where it says none that can be."""
    try:
        with _quiet_open(content) as image:
            return ImageSize(*image.size)
    except Exception:  # as in decode_rgb, which says what is wrong
        return None


def stretched_range_of(content: bytes, max_pixels: int, room: PixelRoom) -> tuple[int, int] | None:
    """Return `Decoded.stretched` of a picture; what has no 16 bits is not decoded for it."""
    with _read(content, max_pixels) as image:
        if not _is_deep(image):
            return None
    return decode(content, max_pixels, room=room).stretched


@contextlib.contextmanager
def _read(content: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Lend an opened image within the limit; whatever goes wrong in the block is a FetchError."""
    if not content:
        raise ImageDecodeError("the image file is empty (0 bytes)")
    # Our own limit below is checked on the header; PIL's would warn or raise at another number.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with _quiet_open(content) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageTooLarge(
                    f"the image has {width} x {height} pixels, accepted are {max_pixels} (IMAGE_MAX_PIXELS)"
                )
            if width < 1 or height < 1:
                raise ImageDecodeError(f"the image has {width} x {height} pixels")
            yield image
    except FetchError:
        raise
    except MemoryError as exc:
        raise ImageTooLarge("the image does not fit into memory") from exc
    except Exception as exc:  # PIL's decoders raise whatever a broken file makes them trip over
        raise ImageDecodeError(_what_came(content, exc)) from exc


def _quiet_open(content: bytes) -> Image.Image:
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(content))


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return how browsers turn an image whose pixels are not read yet; None: not at all.

    What stands behind the pixels comes too late for them. A TIFF, which few show, is turned by Pillow itself.
    """
    content = image.info.get("exif")
    if image.format not in _EXIF_FOLLOWED_IN or not isinstance(content, bytes):
        return None
    exif = Image.Exif()
    with _warning_filters, warnings.catch_warnings(), contextlib.suppress(Exception):
        # Broken EXIF leaves the image unturned, as a browser shows it then.
        warnings.simplefilter("ignore")
        exif.load(content)
        orientation = exif.get(_ORIENTATION)
        return _TURNS.get(orientation) if isinstance(orientation, int) else None
    return None


def _as_stored(pixels: Pixels, turn: Image.Transpose | None) -> Pixels:
    """Return a view of an upright picture [H, W, 3] in which the rows lie as the file has them."""
    transposed = pixels.transpose(1, 0, 2)
    views = {
        None: pixels,
        Image.Transpose.FLIP_LEFT_RIGHT: pixels[:, ::-1],
        Image.Transpose.FLIP_TOP_BOTTOM: pixels[::-1],
        Image.Transpose.ROTATE_180: pixels[::-1, ::-1],
        Image.Transpose.TRANSPOSE: transposed,
        Image.Transpose.TRANSVERSE: transposed[::-1, ::-1],
        Image.Transpose.ROTATE_90: transposed[:, ::-1],
        Image.Transpose.ROTATE_270: transposed[::-1],
    }
    return views[turn]


def _fill(image: Image.Image, content: bytes, target: Pixels, *, is_deep: bool) -> tuple[int, int] | None:
    """Write a loaded image's pixels, as the file has them, and return the range that was stretched.

    A few rows at a time, so that the colours are not in memory twice. is_deep: `_is_deep` before loading.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        low, high, stretched = _range_of(image)
        for rows, part in _strips(image):
            target[rows] = _scaled(np.asarray(part), low, high)[:, :, None]
        return stretched
    if is_deep and image.mode == "RGB" and _largest(image) <= _MICROSCOPE_MAX >> 8:
        # Pillow reads the upper byte of deep colours alone, and here that is next to nothing.
        deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if deep is not None and deep.dtype == np.uint16 and deep.shape == (*target.shape[:2], 3):
            low, high = int(deep.min()), int(deep.max())
            for first in range(0, len(deep), _ROWS_AT_ONCE):
                rows = slice(first, first + _ROWS_AT_ONCE)
                target[rows] = _scaled(deep[rows, :, ::-1], low, high)
            return low, high
    for rows, part in _strips(image):
        if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
            coloured = part.convert("RGBA")
            part = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
        target[rows] = np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    return None


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for first in range(0, image.height, _ROWS_AT_ONCE):
        last = min(first + _ROWS_AT_ONCE, image.height)
        yield slice(first, last), image.crop((0, first, image.width, last))


def _largest(image: Image.Image) -> float:
    """Return the largest value of any channel."""
    return float(np.max(np.asarray(image.getextrema(), dtype=np.float64)))


def _is_deep(image: Image.Image) -> bool:
    """Tell whether a picture whose pixels are not read yet has 16 bits a channel or more."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    return image.mode.startswith("I") or any(";16" in str(tile.args) for tile in tiles)


def _range_of(image: Image.Image) -> tuple[float, float, tuple[int, int] | None]:
    """Return which values of deep grey become 0 and 255, and them again where they are a stretched range.

    16-bit grey has its full range, as browsers have it, or within 12 bits its own; wider numbers their own.
    """
    low, high, is_whole = np.inf, -np.inf, image.mode != "F"
    for _, part in _strips(image):
        values = np.nan_to_num(np.asarray(part))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not is_whole or low < 0 or high > 65535:
        return low, high, None
    if image.mode == "I" and high <= 255:
        return 0.0, 255.0, None
    if high > _MICROSCOPE_MAX or high <= low:
        return 0.0, 65535.0, None
    return low, high, (int(low), int(high))


def _scaled(values: npt.NDArray[Any], low: float, high: float) -> Pixels:
    """Return uint8, with `low` as 0 and `high` as 255; all 0 where they are the same."""
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    wide = np.nan_to_num(values.astype(np.float64)) - low
    return np.rint(wide * (255.0 / (high - low))).astype(np.uint8)


def _what_came(content: bytes, error: Exception) -> str:
    """Return what a file is that cannot be read as an image, and where there is one the next move."""
    if content[4:8] == b"ftyp":
        return _what_container(content[8:64])
    for magic, at, words in _OTHER_FILES:
        if content.startswith(magic, at):
            return words
    start = content[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page came instead of an image, perhaps a login page"
    if b"<svg" in start:
        return "an SVG drawing came; only images of pixels can be read"
    if start.startswith((b"{", b"<?xml")):
        return "an error message came instead of an image"
    why = "" if isinstance(error, UnidentifiedImageError) else f": {str(error)[:150]}"
    return f"the file is no image that can be read, or it is cut off{why}"


def _what_container(brands: bytes) -> str:
    """Return what an ISO media file is, by the brands that it begins with (ISO/IEC 14496-12, section 4.3)."""
    if any(brand in brands for brand in (b"avif", b"avis")):
        return "an AVIF image came that cannot be read, or it is cut off"
    if brands[:4] in _HEIF_BRANDS:
        return "a HEIC photograph came, which few browsers show; convert it to JPEG and import it again"
    return "a video or a camera's raw file came; only images can be read"
