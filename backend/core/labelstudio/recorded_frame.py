"""Whether regions were drawn on the picture that is there now, by the size that each notes.

The file may have changed since: made smaller or larger, turned because its EXIF orientation was removed, or
replaced by another of its name. A converter may have read it without turning it as its EXIF says.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from backend.core.geometry.instances import BoolArray, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.turned_boxes import nearest_to_upright
from backend.core.regions.kind import Drawn

USUAL_TURN = 6  # of an EXIF orientation that is gone: photographs that stand are nearly always stored so
_QUARTER_TURNS = {6: 1, 8: 3}  # to the right, by EXIF orientation


class Fit(Enum):
    """How the picture that regions were drawn on lies to the one that is there."""

    SAME = "of the same proportions"
    TURNED = "turned by a quarter"
    OTHER = "another picture"


def fit_of(recorded: ImageSize | None, size: ImageSize) -> Fit:
    """Return how a recorded size fits the picture's; SAME where none was recorded.

    Sides are whole pixels, so each may be off by one from exact proportions.
    """
    if recorded is None:
        return Fit.SAME
    off = abs(recorded.width * size.height - recorded.height * size.width)
    if off <= max(recorded.width + recorded.height, size.width + size.height):
        return Fit.SAME
    is_turned = (recorded.width, recorded.height) == (size.height, size.width)
    return Fit.TURNED if is_turned else Fit.OTHER


def can_be_turned_back(orientation: int) -> bool:
    """Tell whether regions of a turned picture can be brought back, by the EXIF orientation of the file."""
    return orientation not in (5, 7)


def turned_back(drawn: Drawn, recorded: ImageSize, orientation: int) -> Drawn:
    """Return what was drawn on a picture of the recorded size as it lies on the one that is there.

    orientation: by which the picture is turned as it is shown. Where it is, the regions were drawn on the
    file as it is stored, and turn with it. Where it is not, the file has lost its orientation, and they turn
    back.
    """
    quarters = _QUARTER_TURNS.get(orientation, -_QUARTER_TURNS[USUAL_TURN])
    box, mask = drawn.box_xyxy_px, drawn.mask
    turned = drawn.turned_box_px
    return Drawn(
        _turned_box(box, recorded, quarters % 4),
        None if mask is None else _turned_patch(mask, recorded, quarters % 4),
        None if turned is None else _turned_further(turned, recorded, quarters % 4),
    )


def _turned_box(box_xyxy_px: FloatArray, size: ImageSize, quarters: int) -> FloatArray:
    x1, y1, x2, y2 = box_xyxy_px.tolist()
    if quarters == 1:
        turned = [size.height - y2, x1, size.height - y1, x2]
    else:
        turned = [y1, size.width - x2, y2, size.width - x1]
    return np.array(turned, dtype=np.float32)


def _turned_further(turned_box_px: FloatArray, size: ImageSize, quarters: int) -> FloatArray:
    x, y, width, height, degrees = turned_box_px.tolist()
    if quarters == 1:
        x, y = size.height - y, x
    else:
        x, y = y, size.width - x
    rows = np.array([[x, y, width, height, degrees + 90 * quarters]], dtype=np.float32)
    further: FloatArray = nearest_to_upright(rows)[0]
    return further


def _turned_patch(patch: MaskPatch, size: ImageSize, quarters: int) -> MaskPatch:
    turned: BoolArray = np.rot90(patch.full(size), -quarters)
    found = MaskPatch.from_full(np.ascontiguousarray(turned))
    if found is None:
        raise AssertionError("a mask has at least one pixel, turned or not")
    return found
