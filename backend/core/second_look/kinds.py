"""What may be wrong with an annotation."""

from __future__ import annotations

from enum import Enum


class SuspicionKind(str, Enum):
    """What a second look suspects, in the words of the interface."""

    MISSING_OBJECT = "missing_object"
    OBJECT_TOO_MANY = "object_too_many"
    OTHER_LABEL = "other_label"
    BADLY_PLACED = "badly_placed"
    DRAWN_TWICE = "drawn_twice"


SUSPICIONS_OF_OBJECTS = (
    SuspicionKind.OBJECT_TOO_MANY,
    SuspicionKind.OTHER_LABEL,
    SuspicionKind.BADLY_PLACED,
    SuspicionKind.DRAWN_TWICE,
)
"""What an object that was drawn may be suspected of."""
