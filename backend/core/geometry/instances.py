"""What stands in an image: the values that cross the border between Label Studio and the network.

Frame `orig` everywhere here: pixels of the decoded image, EXIF orientation applied, origin top left,
boxes half-open (width is x2 - x1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

MOST_REGIONS = 100
"""So many regions are found in an image at most where nothing calls for more."""


@dataclass(frozen=True)
class ImageSize:
    """Width and height of an image in pixels, both at least 1."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"an image is at least 1x1 pixels, got {self.width}x{self.height}")


@dataclass(frozen=True, eq=False)
class MaskPatch:
    """A binary mask kept only where it may be set: its window of the image.

    bits bool [h, w]; the window's top left corner is (left_px, top_px) in the orig frame.
    """

    left_px: int
    top_px: int
    bits: BoolArray

    def __post_init__(self) -> None:
        if self.bits.dtype != np.bool_ or self.bits.ndim != 2:
            raise ValueError(f"bits must be bool [h, w], got {self.bits.dtype} {self.bits.shape}")
        if self.left_px < 0 or self.top_px < 0:
            raise ValueError(f"a window starts inside the image, got ({self.left_px}, {self.top_px})")

    @property
    def area_px(self) -> int:
        """Number of set pixels."""
        return int(np.count_nonzero(self.bits))

    def full(self, size: ImageSize) -> BoolArray:
        """Return the mask of the whole image, bool [height, width]; a window that sticks out is cut."""
        out = np.zeros((size.height, size.width), dtype=np.bool_)
        height, width = self.bits.shape
        window = out[self.top_px : self.top_px + height, self.left_px : self.left_px + width]
        window[...] = self.bits[: window.shape[0], : window.shape[1]]
        return out

    @classmethod
    def from_full(cls, mask: BoolArray) -> MaskPatch | None:
        """Cut a bool [height, width] mask to its set pixels; None where nothing is set."""
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size == 0:
            return None
        columns = np.flatnonzero(mask.any(axis=0))
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        return cls(left_px=left, top_px=top, bits=np.ascontiguousarray(mask[top:bottom, left:right]))


@dataclass(frozen=True)
class Attributes:
    """What is said of an object: plain values that JSON could hold, by the name of the control tag.

    sides: width and height of the object's box as shares of its image's longer side, wherever the object was
    moved since. is_mirrored: the object is shown mirrored, and `taught` is of the object as it is.
    """

    taught: Mapping[str, Any]
    sides: tuple[float, float]
    is_mirrored: bool = False


@dataclass(frozen=True, eq=False)
class Detections:
    """What a predictor found in one image, best score first.

    boxes_xyxy_px float32 [N, 4], x2 > x1 and y2 > y1; scores float32 [N] in 0..1; label_indices int64 [N]
    into the predictor's labels; masks N patches, None where the network gives no mask.
    image_score: how well the whole image is likely to be solved, 0..1; low means worth labelling.
    has_boxes: False where no box was learned: objects are then connected parts of a label's painted area, and
    their boxes only bound them. extras: what further heads found in the image, by the name of the head.
    turned_boxes_px float32 [N, 5], as in `turned_boxes`: None where no turned box was learned. attributes: N
    mappings, what was found about each by the name of the control tag; None where none was learned.
    """

    size: ImageSize
    boxes_xyxy_px: FloatArray
    scores: FloatArray
    label_indices: IntArray
    masks: tuple[MaskPatch | None, ...]
    image_score: float = 0.0
    has_boxes: bool = True
    extras: Mapping[str, Any] = field(default_factory=dict)
    turned_boxes_px: FloatArray | None = None
    attributes: tuple[Mapping[str, Any], ...] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self.boxes_xyxy_px, self.label_indices, self.masks, self.turned_boxes_px)
        if self.attributes is not None and len(self.attributes) != len(self.masks):
            raise ValueError(f"{len(self.masks)} objects, and attributes of {len(self.attributes)}")
        if self.scores.shape != self.label_indices.shape:
            raise ValueError(f"scores must be {self.label_indices.shape}, got {self.scores.shape}")

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class TrainingTarget:
    """What one annotated image teaches: a row for each object, and one more for each further label of it.

    boxes_xyxy_px float32 [N, 4]; label_indices int64 [N]; masks N patches, None where the shape inside the
    box is unknown (a plain rectangle teaches no mask). Rows of one object have the same box and mask: that is
    how they are known as one, also where the image was moved. N = 0 teaches background. extras: what the
    image teaches further heads, by the name of the head; plain values that JSON could hold.
    turned_boxes_px float32 [N, 5], as in `turned_boxes`: of rectangles that were drawn turned, and a row of
    NaN for every other object; None where nothing was. attributes: what is said of each object, None where
    nothing is; () where that holds for all.
    """

    size: ImageSize
    boxes_xyxy_px: FloatArray
    label_indices: IntArray
    masks: tuple[MaskPatch | None, ...]
    region_ids: tuple[str, ...] = field(default=())
    extras: Mapping[str, Any] = field(default_factory=dict)
    turned_boxes_px: FloatArray | None = None
    attributes: tuple[Attributes | None, ...] = ()

    def __post_init__(self) -> None:
        _check_lengths(self.boxes_xyxy_px, self.label_indices, self.masks, self.turned_boxes_px)
        if self.attributes and len(self.attributes) != len(self.masks):
            raise ValueError(f"{len(self.masks)} objects, and attributes of {len(self.attributes)}")

    @property
    def attributes_by_row(self) -> tuple[Attributes | None, ...]:
        """What is said of each object, one entry for each row."""
        return self.attributes or (None,) * len(self)

    def __len__(self) -> int:
        return len(self.label_indices)

    @cached_property
    def object_of_row(self) -> IntArray:
        """Which object each row belongs to, int64 [N]; rows of one box with other labels are one object."""
        repeated: Counter[tuple[bytes, int]] = Counter()
        numbers: dict[tuple[bytes, int], int] = {}
        found = np.zeros(len(self), dtype=np.int64)
        for row, label in enumerate(self.label_indices.tolist()):
            box = self.boxes_xyxy_px[row].tobytes()
            found[row] = numbers.setdefault((box, repeated[box, label]), len(numbers))
            repeated[box, label] += 1
        return found

    @property
    def object_count(self) -> int:
        """How many objects there are."""
        return int(self.object_of_row.max(initial=-1)) + 1

    @property
    def first_rows(self) -> IntArray:
        """The first row of each object, int64 [objects]."""
        return np.unique(self.object_of_row, return_index=True)[1].astype(np.int64)


def attributes_if_any(
    attributes: Sequence[Attributes | None],
) -> tuple[Attributes | None, ...]:
    """Return what is said of objects as a target keeps it: () where nothing is said of any."""
    return tuple(attributes) if any(one is not None for one in attributes) else ()


def _check_lengths(
    boxes: FloatArray,
    label_indices: IntArray,
    masks: tuple[MaskPatch | None, ...],
    turned_boxes: FloatArray | None,
) -> None:
    count = len(masks)
    if boxes.shape != (count, 4):
        raise ValueError(f"boxes_xyxy_px must be ({count}, 4), got {boxes.shape}")
    if label_indices.shape != (count,):
        raise ValueError(f"label_indices must be ({count},), got {label_indices.shape}")
    if turned_boxes is not None and turned_boxes.shape != (count, 5):
        raise ValueError(f"turned_boxes_px must be ({count}, 5), got {turned_boxes.shape}")
