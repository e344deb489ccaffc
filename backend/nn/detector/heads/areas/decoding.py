"""From a semantic map to areas: the connected parts of what each label covers, with score and mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.masks import tight_patch
from backend.core.geometry.matching import areas_of
from backend.nn.detector.heads.semantic import MASK_STRIDE

AREA_THRESHOLD_LOGIT = 0.0
"""Where areas end: where the label is as likely as not."""
LEAST_CELLS = 4
"""Fewer cells of the map than this are noise, whatever the labels say."""
# The smallest areas that were drawn may be slips of the brush, so half of a low percentile of sizes counts.
SMALL_PERCENTILE, SMALL_FACTOR = 5, 0.5


@dataclass(frozen=True, eq=False)
class Area:
    """A connected part of a label's map, at the resolution of the map.

    logit: of the mean probability in it, its raw score. cells bool [h, w]: of the part alone, in the window
    that starts at cell (row, column). others bool [h, w]: cells there of other parts of the label.
    """

    label_index: int
    logit: float
    row: int
    column: int
    cells: npt.NDArray[np.bool_]
    others: npt.NDArray[np.bool_]


def find_areas(
    semantic: FloatArray, letterbox: Letterbox, least_shares: Sequence[float], threshold_logit: float
) -> list[Area]:
    """Return the areas of semantic logits [L, h, w] of one image, likeliest first.

    least_shares: per label, the smallest area as a share of the image. Padding holds none.
    """
    inner = letterbox.inner_size
    rows, columns = (-(-side // MASK_STRIDE) for side in (inner.height, inner.width))
    areas: list[Area] = []
    for label, logits in enumerate(semantic[:, :rows, :columns]):
        inside = np.ascontiguousarray(logits > threshold_logit)
        if not inside.any():
            continue
        count, number_of, stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=8)
        least = max(LEAST_CELLS, least_shares[label] * rows * columns)
        for number in range(1, count):
            left, top, width, height, cells = stats[number].tolist()
            if cells < least:
                continue
            # One cell of margin: that is how far an area can reach beyond the centres of its cells.
            row, column = max(top - 1, 0), max(left - 1, 0)
            window = number_of[row : top + height + 1, column : left + width + 1]
            mine = window == number
            values = logits[row : top + height + 1, column : left + width + 1][mine].astype(np.float64)
            probability = float(np.mean(1 / (1 + np.exp(-values))))
            logit = float(np.log(probability / max(1 - probability, 1e-9)))
            areas.append(Area(label, logit, row, column, mine, (window > 0) & ~mine))
    return sorted(areas, key=lambda area: -area.logit)


def area_mask(
    area: Area, semantic_logits: FloatArray, letterbox: Letterbox, threshold_logit: float
) -> MaskPatch | None:
    """Return the mask of an area in the orig frame, by its label's logits [h, w]; None for nothing."""
    height, width = area.cells.shape
    scale_x, scale_y = (scale / MASK_STRIDE for scale in letterbox.scale_xy)
    left, top = (
        int(np.floor(start / scale)) for start, scale in ((area.column, scale_x), (area.row, scale_y))
    )
    right = min(int(np.ceil((area.column + width) / scale_x)), letterbox.size.width)
    bottom = min(int(np.ceil((area.row + height) / scale_y)), letterbox.size.height)
    if right <= left or bottom <= top:
        return None
    bits = letterbox.map_to_orig(semantic_logits, (left, top, right, bottom)) > threshold_logit
    rows = np.clip(((np.arange(top, bottom) + 0.5) * scale_y).astype(int) - area.row, 0, height - 1)
    columns = np.clip(((np.arange(left, right) + 0.5) * scale_x).astype(int) - area.column, 0, width - 1)
    bits &= ~area.others[np.ix_(rows, columns)]
    return tight_patch(_touching(bits, area.cells[np.ix_(rows, columns)]), left, top)


def least_area_shares(taught: Sequence[TrainingTarget], label_count: int) -> tuple[float, ...]:
    """Return per label how small an area may be, as a share of an image: below nearly all drawn ones."""
    shares: list[list[float]] = [[] for _ in range(label_count)]
    for target in taught:
        areas = areas_of(target)
        for label, mask in zip(areas.label_indices.tolist(), areas.masks, strict=True):
            assert mask is not None
            shares[label].append(mask.area_px / _pixels(target.size))
    return tuple(
        round(float(np.percentile(mine, SMALL_PERCENTILE)) * SMALL_FACTOR, 6) if mine else 0.0
        for mine in shares
    )


def _touching(bits: npt.NDArray[np.bool_], seeds: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the connected parts of a mask that touch a seed."""
    _, number_of = cv2.connectedComponents(np.ascontiguousarray(bits).view(np.uint8), connectivity=8)
    kept = np.zeros(int(number_of.max()) + 1, dtype=np.bool_)
    kept[np.unique(number_of[seeds & bits])] = True
    kept[0] = False
    touching: npt.NDArray[np.bool_] = kept[number_of]
    return touching


def _pixels(size: ImageSize) -> int:
    return size.width * size.height
