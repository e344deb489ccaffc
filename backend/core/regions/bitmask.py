"""Bitmask regions: a mask as a PNG in a data URL.

Source: the editor of Label Studio 1.23.2, its bitmask region.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize
from backend.core.regions.kind import FoundObject, RegionKind, Teaches, Value
from backend.core.regions.mask_png import decode_mask_url, encode_patch_url
from backend.core.regions.painted import PaintedShape


def _read(value: Value, recorded_size: ImageSize | None) -> PaintedShape:
    url: Any = value.get("imageDataURL")

    def read_alpha(size: ImageSize) -> npt.NDArray[np.uint8]:
        return decode_mask_url(url, recorded_size or size)

    return PaintedShape(read_alpha, "broken_png")


def _write(found: FoundObject) -> dict[str, Any] | None:
    return None if found.mask is None else {"imageDataURL": encode_patch_url(found.mask, found.size)}


BITMASK = RegionKind(
    name="bitmask",
    title="Bitmask",
    plural="bitmasks",
    has_fields=lambda value: "imageDataURL" in value,
    geometry_fields=("imageDataURL",),
    read=_read,
    write=_write,
    teaches=Teaches.MASK,
    check_text="bitmasks are predicted",
    needs_mask=True,
    is_painted=True,
)
