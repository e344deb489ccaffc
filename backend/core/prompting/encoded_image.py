"""An encoded image as bytes and back: its pixels at working size, and what the detector saw and kept of it.

Lossless. The bytes begin with a checksum, so that a file that was cut short or changed is noticed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.mask_maps import MaskMaps

_CHECKSUM_BYTES = 4
_LENGTH_BYTES = 4
_FORMAT = 5
"""Raised with every change of the layout: what an older program wrote is encoded again."""


def pack_image(
    image: npt.NDArray[np.uint8],
    size: ImageSize,
    detections: Detections | None,
    maps: MaskMaps | None,
    features: Sequence[FloatArray] = (),
) -> bytes:
    """Return the bytes of an encoded image.

    image: uint8 [h, w, 3] in the work frame; size: of the orig frame; detections: None before any training;
    maps: None where the detector makes no masks; features: another network's maps, float16 [C, h, w] each.
    """
    header = {
        "format": _FORMAT,
        "image": list(image.shape),
        "size_wh": [size.width, size.height],
        "detections": None if detections is None else _describe(detections),
        "maps": None if maps is None else _describe_maps(maps),
        "features": [list(values.shape) for values in features],
    }
    parts = [np.ascontiguousarray(image).tobytes()]
    if detections is not None:
        parts += [
            np.ascontiguousarray(detections.boxes_xyxy_px, dtype="<f4").tobytes(),
            np.ascontiguousarray(detections.scores, dtype="<f4").tobytes(),
            np.ascontiguousarray(detections.label_indices, dtype="<i8").tobytes(),
            *(np.packbits(mask.bits).tobytes() for mask in detections.masks if mask is not None),
        ]
    if maps is not None:
        parts += [
            np.ascontiguousarray(values, dtype="<f2").tobytes()
            for values in (maps.fine, maps.coarse, maps.semantic)
        ]
    parts += [np.ascontiguousarray(values, dtype="<f2").tobytes() for values in features]
    text = json.dumps(header).encode()
    body = b"".join([len(text).to_bytes(_LENGTH_BYTES, "little"), text, *parts])
    return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") + body


def unpack_image(
    content: bytes,
) -> tuple[npt.NDArray[np.uint8], ImageSize, Detections | None, MaskMaps | None, tuple[FloatArray, ...]]:
    """Return image, orig size, detections, maps and features as `pack_image` got them.

    Raises ValueError where they are damaged or another release wrote them.
    """
    whole = memoryview(content)
    checksum = int.from_bytes(whole[:_CHECKSUM_BYTES], "little")
    body = whole[_CHECKSUM_BYTES:]
    if len(body) < _LENGTH_BYTES or zlib.crc32(body) != checksum:
        raise ValueError("an encoded image is damaged: its checksum does not fit; encode it again")
    start = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "little")
    header = json.loads(bytes(body[_LENGTH_BYTES:start]))
    if header.get("format") != _FORMAT:
        raise ValueError("an encoded image of another release; encode it again")
    reader = _Reader(body, start)
    image = reader.take("u1", tuple(header["image"]))
    width, height = header["size_wh"]
    size = ImageSize(width, height)
    detections = (
        None if header["detections"] is None else _read_detections(reader, size, header["detections"])
    )
    maps = None if header["maps"] is None else _read_maps(reader, header["maps"])
    features = tuple(reader.take("<f2", tuple(shape)) for shape in header["features"])
    return image, size, detections, maps, features


class _Reader:
    """Takes one array after the other; each is a copy that may be written to."""

    def __init__(self, body: memoryview, start: int) -> None:
        self._body = body
        self._at = start

    def take(self, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        count = int(np.prod(shape))
        array = np.frombuffer(self._body, dtype=dtype, count=count, offset=self._at).reshape(shape)
        self._at += array.nbytes
        return array.astype(array.dtype.newbyteorder("="))

    def mask(self, left_px: int, top_px: int, height: int, width: int) -> MaskPatch:
        packed = self.take("u1", ((height * width + 7) // 8,))
        bits = np.unpackbits(packed, count=height * width).reshape(height, width)
        return MaskPatch(left_px, top_px, bits.astype(np.bool_))


def _read_detections(reader: _Reader, size: ImageSize, described: dict[str, Any]) -> Detections:
    count = len(described["mask_windows"])
    boxes = reader.take("<f4", (count, 4))
    scores = reader.take("<f4", (count,))
    labels = reader.take("<i8", (count,))
    masks = tuple(None if window is None else reader.mask(*window) for window in described["mask_windows"])
    return Detections(size, boxes, scores, labels, masks, described["image_score"], described["has_boxes"])


def _read_maps(reader: _Reader, described: dict[str, Any]) -> MaskMaps:
    width, height = described["net_size_wh"]
    fine, coarse, semantic = (reader.take("<f2", tuple(shape)) for shape in described["shapes"])
    return MaskMaps(ImageSize(width, height), fine, coarse, semantic)


def _describe_maps(maps: MaskMaps) -> dict[str, object]:
    return {
        "net_size_wh": [maps.net_size.width, maps.net_size.height],
        "shapes": [list(values.shape) for values in (maps.fine, maps.coarse, maps.semantic)],
    }


def _describe(detections: Detections) -> dict[str, object]:
    windows = [
        None if mask is None else [mask.left_px, mask.top_px, *mask.bits.shape] for mask in detections.masks
    ]
    return {
        "mask_windows": windows,
        "image_score": float(detections.image_score),
        "has_boxes": detections.has_boxes,
    }
