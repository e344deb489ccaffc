"""What kinds with painted masks share: a mask that is decoded only when it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import alpha_to_mask, patch_box
from backend.core.regions.kind import Dab, Drawn
from backend.core.regions.unusable import UnusableRegion


@dataclass(frozen=True, eq=False)
class PaintedShape:
    """A painted mask.

    read_alpha: decodes it, uint8 [h, w], given the size of the image that it is drawn on; it raises TypeError
    or ValueError where that fails, which is counted as `broken`.
    """

    read_alpha: Callable[[ImageSize], npt.NDArray[np.uint8]] = field(repr=False)
    broken: str

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
            alpha = self.read_alpha(size)
        except (TypeError, ValueError) as exc:
            raise UnusableRegion(self.broken) from exc
        patch = MaskPatch.from_full(alpha_to_mask(alpha, size))
        if patch is None:
            raise UnusableRegion("zero_area")
        return patch
