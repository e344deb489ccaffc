"""Brush regions: a mask in Label Studio's run lengths, in the pixels of the image that it was painted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import alpha_to_mask, patch_box
from backend.core.regions.brush_rle import decode_brush_rle, encode_patch_rle
from backend.core.regions.kind import Dab, Drawn, FoundObject, RegionKind, Teaches, Value
from backend.core.regions.unusable import UnusableRegion


@dataclass(frozen=True, eq=False)
class BrushShape:
    """A painted mask, decoded only when it is drawn: its run lengths, and the size it was recorded at."""

    brush_rle: Any = field(repr=False)
    recorded_size: ImageSize | None

    def bounds_px(self, size: ImageSize) -> FloatArray:
        """Return the box of its pixels."""
        return patch_box(self._patch(size))

    def draw(self, size: ImageSize) -> Drawn:
        """Return its pixels, brought to the size of the image, and the box around them."""
        patch = self._patch(size)
        return Drawn(patch_box(patch), patch)

    def prompt_mark(self, size: ImageSize) -> Dab | None:
        """Return its pixels; None where they cannot be decoded."""
        try:
            return Dab(self._patch(size))
        except UnusableRegion:
            return None

    def _patch(self, size: ImageSize) -> MaskPatch:
        try:
            alpha = decode_brush_rle(self.brush_rle, self.recorded_size or size)
        except (TypeError, ValueError) as exc:
            raise UnusableRegion("broken_rle") from exc
        patch = MaskPatch.from_full(alpha_to_mask(alpha, size))
        if patch is None:
            raise UnusableRegion("zero_area")
        return patch


def _read(value: Value, recorded_size: ImageSize | None) -> BrushShape:
    return BrushShape(value.get("rle"), recorded_size)


def _write(found: FoundObject) -> dict[str, Any] | None:
    if found.mask is None:
        return None
    return {"format": "rle", "rle": encode_patch_rle(found.mask, found.size)}


BRUSH = RegionKind(
    name="brush",
    title="Brush",
    plural="painted areas",
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
