"""Label Studio's form of a bitmask: a PNG in a data URL, alpha being the mask.

The editor shows a pixel where its alpha is above zero, and stretches a PNG of another size over the image. It
writes black RGBA; here one bit a pixel is written, a palette of a transparent and an opaque black, which it
shows alike at a fraction of the cost. Source of the format: PNG specification (W3C, third edition), chapters
5 and 11.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize, MaskPatch

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 33
MAX_PIXELS = 200_000_000
MAX_TIMES_IMAGE = 4
"""A mask may have so many times the pixels of its image; the editor's own has as many."""
OPAQUE = 255
DEEP_ALPHA = 257  # 16 bits to 8

_PREFIX = re.compile(r"\s*data:image/png(?:;[^,;]{0,40}){0,4};base64,", re.IGNORECASE)


def encode_patch_url(patch: MaskPatch, size: ImageSize) -> str:
    """Return the data URL of a patch in an image of `size`: opaque black where set, else transparent."""
    height = patch.bits.shape[0]
    first_byte, shift = divmod(patch.left_px, 8)
    window = np.packbits(np.pad(patch.bits, ((0, 0), (shift, 0))), axis=1)
    # Each line begins with its filter, 0: none.
    lines = np.zeros((size.height, 1 + (size.width + 7) // 8), dtype=np.uint8)
    lines[patch.top_px : patch.top_px + height, 1 + first_byte : 1 + first_byte + window.shape[1]] = window
    header = struct.pack(">IIBBBBB", size.width, size.height, 1, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", bytes(6)),
        (b"tRNS", bytes([0, OPAQUE])),
        (b"IDAT", zlib.compress(lines.tobytes())),
        (b"IEND", b""),
    )
    content = SIGNATURE + b"".join(_chunk(name, body) for name, body in chunks)
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def decode_mask_url(url: Any, image: ImageSize) -> npt.NDArray[np.uint8]:
    """Return the alpha of a mask's PNG, uint8 [h, w], in the PNG's own size; image: that it was painted on.

    A PNG without alpha is opaque all over, as the editor shows it. The size is looked at before any pixel is
    decoded. Raises ValueError: no text, no PNG in a data URL, cut short, or far larger than the image.
    """
    prefix = _PREFIX.match(url) if isinstance(url, str) else None
    if prefix is None:
        raise ValueError("a bitmask must be a data URL, data:image/png;base64,...")
    content = base64.b64decode(url[prefix.end() :].strip(), validate=True)
    if len(content) < HEADER_BYTES or not content.startswith(SIGNATURE) or content[12:16] != b"IHDR":
        raise ValueError(f"the data URL of a bitmask holds no PNG ({len(content)} bytes)")
    width, height = struct.unpack(">II", content[16:24])
    most = min(MAX_PIXELS, MAX_TIMES_IMAGE * image.width * image.height)
    if not 0 < width * height <= most:
        raise ValueError(f"the PNG of a bitmask has {width} x {height} pixels, accepted are {most}")
    try:
        pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as exc:
        raise ValueError("the PNG of a bitmask cannot be decoded") from exc
    if pixels is None:
        raise ValueError("the PNG of a bitmask is broken or cut short")
    if pixels.ndim < 3 or pixels.shape[2] < 4:
        return np.full(pixels.shape[:2], OPAQUE, dtype=np.uint8)
    alpha = pixels[:, :, 3]
    return np.ascontiguousarray(alpha if alpha.dtype == np.uint8 else alpha // DEEP_ALPHA, dtype=np.uint8)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
