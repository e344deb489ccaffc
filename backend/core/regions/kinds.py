"""The kinds of regions: a new one is its module, and its name in this tuple.

The kind that can show most of an object comes first: a smart tool answers in the first kind that the labeling
config has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.core.regions.bitmask import BITMASK
from backend.core.regions.brush import BRUSH
from backend.core.regions.ellipse import ELLIPSE
from backend.core.regions.keypoint import KEYPOINT
from backend.core.regions.kind import RegionKind
from backend.core.regions.polygon import POLYGON
from backend.core.regions.rectangle import RECTANGLE
from backend.core.regions.vector import VECTOR

KINDS: tuple[RegionKind, ...] = (BRUSH, BITMASK, POLYGON, VECTOR, ELLIPSE, RECTANGLE, KEYPOINT)

OTHER_TYPES = frozenset({"ocrlabels"})
"""`type` of the regions that Label Studio draws on images and no kind reads."""


def kind_of_type(type_: str, kinds: Sequence[RegionKind] = KINDS) -> RegionKind | None:
    """Return the kind whose tag, plain or with labels, is called that, in whatever case; else None."""
    return next((kind for kind in kinds if kind.written_title(type_) is not None), None)


def kind_of_value(value: Any, kinds: Sequence[RegionKind] = KINDS) -> RegionKind | None:
    """Return the kind of a result's value, told by its fields as the editor does; None if it is none."""
    if not isinstance(value, Mapping):
        return None
    return next((kind for kind in kinds if kind.has_fields(value)), None)
