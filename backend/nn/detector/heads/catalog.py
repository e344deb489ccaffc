"""The heads there are. A new one is a folder beside this file, and a line here.

What it learns beside boxes and masks reaches it in `TrainingTarget.extras` and leaves in `Detections.extras`.
"""

from __future__ import annotations

from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.attributes.head import ATTRIBUTES
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.boxes.turned.head import TURNED_BOXES
from backend.nn.detector.heads.choices.head import CHOICES
from backend.nn.detector.heads.head import AnyHead
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.heads.points.head import POINTS_HEAD

HEADS: tuple[AnyHead, ...] = (BOXES, TURNED_BOXES, MASKS, AREAS, CHOICES, POINTS_HEAD, ATTRIBUTES)
"""In the order in which they decode: a head sees what those before it found."""


def heads_named(names: list[str], heads: tuple[AnyHead, ...] = HEADS) -> tuple[AnyHead, ...]:
    """Return the heads of these names, in their own order. Raises ValueError for a name that none has."""
    unknown = set(names) - {head.name for head in heads}
    if unknown:
        raise ValueError(f"this release has no head named {', '.join(sorted(unknown))}")
    return tuple(head for head in heads if head.name in names)
