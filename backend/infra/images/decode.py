"""Bytes of an image file to pixels, as a browser shows them."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from backend.errors import ImageDecodeError, ImageTooLarge

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


def decode_rgb(content: bytes, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [H, W, 3]: turned as browsers do, first frame, alpha over white, 16 bit scaled to 8.

    Raises ImageTooLarge, before any pixel is decoded, and ImageDecodeError.
    """
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
            turn = _turn_of(image)
            image.load()
            return np.ascontiguousarray(_to_rgb(image if turn is None else image.transpose(turn)))
    except (ImageTooLarge, ImageDecodeError):
        raise
    except MemoryError as exc:
        raise ImageTooLarge("the image does not fit into memory") from exc
    except Exception as exc:  # PIL's decoders raise whatever a broken file makes them trip over
        raise ImageDecodeError(_what_came(content, exc)) from exc


def orientation_of(content: bytes) -> int:
    """Return the EXIF orientation by which `decode_rgb` turns an image: 1 to 8, 1 where it does not."""
    try:
        with _quiet_open(content) as image:
            turn = _turn_of(image)
    except Exception as exc:  # as in decode_rgb
        raise ImageDecodeError(_what_came(content, exc)) from exc
    return next((orientation for orientation, known in _TURNS.items() if known is turn), 1)


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


def _to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _deep_grey_to_uint8(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        image = Image.alpha_composite(white, coloured)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _deep_grey_to_uint8(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Scale 16-bit grey by its full range, as browsers do; wider numbers by the range they use."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return np.rint(values.astype(np.float32) / 257.0).astype(np.uint8)
    wide = np.nan_to_num(values.astype(np.float64))
    low, high = float(wide.min()), float(wide.max())
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        low, high = 0.0, 255.0 if high <= 255 else 65535.0
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.rint((wide - low) * (255.0 / (high - low))).astype(np.uint8)


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
