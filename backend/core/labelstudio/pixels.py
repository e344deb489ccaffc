"""Regions whose coordinates are pixels, as converters write them by mistake: Label Studio's are percent.

One region alone may look like either: (40, 30) is inside the image both ways. So one that surely is in pixels
speaks for the others of its image, which one program wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.labelstudio.results import Region
from backend.core.regions.unusable import UnusableRegion

SURELY_PCT = 150.0
"""No editor lets a region reach so far: half an image beyond the edge."""
SLACK_PX = 1.0


def drawn_in_pixels(regions: Sequence[Region], size: ImageSize) -> frozenset[int]:
    """Return the numbers of the regions of one image that are in pixels; size: of the decoded image.

    Painted areas never are: their masks have a size of their own.
    """
    bounds_pct = {
        number: bounds for number, region in enumerate(regions) if (bounds := _bounds_pct(region, size))
    }
    fitting = {number for number, bounds in bounds_pct.items() if _fits_as_pixels(bounds, size)}
    is_sure = any(max(bounds_pct[number]) > SURELY_PCT for number in fitting)
    return frozenset(fitting) if is_sure else frozenset()


def _bounds_pct(region: Region, size: ImageSize) -> tuple[float, ...] | None:
    """Return left, top, right and bottom as they are written; None for what has no outline."""
    if region.kind.is_painted:
        return None
    try:
        bounds_px: list[FloatArray] = [shape.bounds_px(size) for shape in region.shapes]
    except UnusableRegion:
        return None
    corners = np.array(bounds_px) * 100 / [size.width, size.height, size.width, size.height]
    return (*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist())


def _fits_as_pixels(bounds: Sequence[float], size: ImageSize) -> bool:
    left, top, right, bottom = bounds
    return min(left, top) >= -SLACK_PX and right <= size.width + SLACK_PX and bottom <= size.height + SLACK_PX
