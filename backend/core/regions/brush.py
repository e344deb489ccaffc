"""Brush regions: a mask in Label Studio's run lengths, in the pixels of the image that it was painted on.

A magic wand paints them too: its results differ from a brush's in nothing but their type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize
from backend.core.regions.brush_rle import decode_brush_rle, encode_patch_rle
from backend.core.regions.kind import FoundObject, RegionKind, Teaches, Value
from backend.core.regions.painted import PaintedShape


def _read(value: Value, recorded_size: ImageSize | None) -> PaintedShape:
    brush_rle: Any = value.get("rle")

    def read_alpha(size: ImageSize) -> npt.NDArray[np.uint8]:
        return decode_brush_rle(brush_rle, recorded_size or size)

    return PaintedShape(read_alpha, "broken_rle")


def _write(found: FoundObject) -> dict[str, Any] | None:
    if found.mask is None:
        return None
    return {"format": "rle", "rle": encode_patch_rle(found.mask, found.size)}


BRUSH = RegionKind(
    name="brush",
    title="Brush",
    plural="painted areas",
    other_titles=("MagicWand",),
    has_fields=lambda value: "rle" in value,
    geometry_fields=("rle",),
    read=_read,
    write=_write,
    teaches=Teaches.MASK,
    check_text="painted areas are predicted",
    needs_mask=True,
    is_painted=True,
    joins_parts=True,
    bulky_field="rle",
)
