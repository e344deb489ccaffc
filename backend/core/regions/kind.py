"""The face of a kind of region: all that the rest of the backend asks of rectangles, polygons and so on.

A kind is one module beside this one. It has a `Shape`, the geometry of one region in percent, and makes one
`RegionKind`: how a value is read, what it teaches, how it is written, what the connection check says.
`kinds.KINDS` lists the kinds. Labeling configs, annotations, prompts, predictions, label statistics and
checks loop over that tuple and name no kind.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.masks import join_patches
from backend.core.regions.unusable import UnusableRegion

LABELS_SUFFIX = "labels"

Value = Mapping[str, Any]
"""The `value` of a Label Studio result."""


class Teaches(Enum):
    """The most that a region of a kind teaches."""

    POINT = "a point"
    BOX = "a box"
    MASK = "a box and a mask"


@dataclass(frozen=True, eq=False)
class Drawn:
    """A region in the orig frame: box_xyxy_px float32 [4]; mask None where the area in the box is unknown.

    The box of a point has no extent.
    turned_box_px float32 [5], as in `geometry.turned_boxes`: of a rectangle that was drawn turned.
    """

    box_xyxy_px: FloatArray
    mask: MaskPatch | None
    turned_box_px: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class FoundObject:
    """An object to be written: the image's size, box_xyxy_px float32 [4], and its mask if it has one.

    The box of a point has no extent.
    turned_box_px float32 [5]: the rectangle around it where those of its label are drawn turned.
    """

    size: ImageSize
    box_xyxy_px: FloatArray
    mask: MaskPatch | None
    turned_box_px: FloatArray | None = None


@dataclass(frozen=True)
class Click:
    """A prompt that says: the object is here, (x_px, y_px) in the orig frame."""

    x_px: float
    y_px: float


@dataclass(frozen=True, eq=False)
class Outline:
    """A prompt drawn roughly around an object: corners_px float32 [K, 2], in the orig frame.

    is_turned: it is a rectangle that was drawn turned by other than quarter turns.
    """

    corners_px: FloatArray
    is_turned: bool = False


@dataclass(frozen=True, eq=False)
class Dab:
    """A prompt painted roughly on an object."""

    mask: MaskPatch


PromptMark = Click | Outline | Dab


class Shape(Protocol):
    """The geometry of one region, checked, in percent of the image it is drawn on."""

    def bounds_px(self, size: ImageSize) -> FloatArray:
        """Return the smallest upright box around it, float32 [4], in an image of that size.

        It may stick out of the image. Raises UnusableRegion.
        """

    def draw(self, size: ImageSize) -> Drawn:
        """Return the region in the pixels of an image; what sticks out is cut off. Raises UnusableRegion."""

    def prompt_mark(self, size: ImageSize) -> PromptMark | None:
        """Return what it says as a prompt of a smart tool; None where that is nothing clear."""


@dataclass(frozen=True, eq=False)
class RegionKind:
    """One kind of region.

    name: its plain control tag in lower case, which is also the `type` of that tag's results.
    title: that tag as it is written. plural: of the thing itself, in sentences.
    other_titles: further plain tags whose regions are of this kind, as they are written.
    lack: in words, what a control tag with these attributes (names in lower case) lacks for its regions to be
    learned; None where it lacks nothing.
    has_fields: whether a value has the fields by which the editor tells this kind.
    geometry_fields: of a value, all that says where the region lies.
    read: the shape in a value; the size is the recorded one of the image. Raises UnusableRegion.
    write: the geometry of a value for an object; None where the kind cannot show it.
    teaches: what its regions teach; points are a thing of their own, beside objects with boxes.
    check_text: what the connection check says of a control tag of this kind.
    needs_mask: only objects with a mask can be written.
    prompt_reason: the key of REASONS for a region of a tag of prompts, that was left in an annotation.
    is_painted: counted as a painted area, not as a shape.
    joins_parts: results of one id are parts of one region, as the editor stores strokes.
    bulky_field: the field of a value that may hold millions of numbers.
    """

    name: str
    title: str
    plural: str
    has_fields: Callable[[Value], bool]
    geometry_fields: tuple[str, ...]
    read: Callable[[Value, ImageSize | None], Shape]
    write: Callable[[FoundObject], dict[str, Any] | None]
    teaches: Teaches
    check_text: str
    prompt_reason: str = "prompt"
    needs_mask: bool = False
    is_painted: bool = False
    joins_parts: bool = False
    bulky_field: str | None = None
    other_titles: tuple[str, ...] = ()
    lack: Callable[[Mapping[str, str]], str | None] = lambda attributes: None

    def __repr__(self) -> str:
        return f"<{self.title}>"

    @property
    def labels_tag(self) -> str:
        """The tag with labels of its own, in lower case; also the `type` and the key of its labels."""
        return self.name + LABELS_SUFFIX

    @property
    def labels_title(self) -> str:
        """The tag with labels of its own, as it is written."""
        return self.title + LABELS_SUFFIX.capitalize()

    def written_title(self, tag: str) -> str | None:
        """Return a control tag of this kind, given in whatever case, as it is written; None for another's."""
        written = (self.title, self.labels_title, *self.other_titles)
        return next((title for title in written if title.lower() == tag.lower()), None)

    @property
    def draws_objects(self) -> bool:
        """Whether its regions are objects, which have a box, and not points."""
        return self.teaches is not Teaches.POINT

    def geometry_key(self, value: Value) -> tuple[Hashable, ...]:
        """Return what two values of this kind share if they lie alike; what is missing counts as 0."""
        return tuple(_key(value.get(name)) for name in self.geometry_fields)


def draw_together(shapes: Sequence[Shape], size: ImageSize) -> Drawn:
    """Return an object made of one or more shapes: the box around all, and the masks there are, joined.

    Raises UnusableRegion.
    """
    drawn = [shape.draw(size) for shape in shapes]
    if len(drawn) == 1:
        return drawn[0]
    boxes = np.stack([one.box_xyxy_px for one in drawn])
    box = np.concatenate((boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0))).astype(np.float32)
    patches = [one.mask for one in drawn if one.mask is not None]
    return Drawn(box, join_patches(patches) if patches else None)


def _key(field: Any) -> Hashable:
    is_number = field is None or isinstance(field, int | float)
    return (field or 0) if is_number else repr(field)  # numbers compare by value, and lists do not hash


def why_nothing_is_drawn(bounds_xyxy_px: FloatArray, size: ImageSize) -> UnusableRegion:
    """Return the error for a shape that covers no pixel of an image, by its bounds [4]."""
    x1, y1, x2, y2 = bounds_xyxy_px.tolist()
    is_apart = x2 <= 0 or y2 <= 0 or x1 >= size.width or y1 >= size.height
    return UnusableRegion("outside_image" if is_apart and x2 > x1 and y2 > y1 else "zero_area")
