"""What this service writes into Label Studio beside the predictions of versions, and how it tells so later.

Regions that it wrote into annotations by itself have a note in their meta text, which Label Studio's editor
shows beside the region and keeps when somebody edits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.core.labelstudio.corrections import Json, as_predicted

SECOND_LOOK = "second-look"
"""The note of regions that a proposal of the second look added, and the model version of its predictions."""
MARKS = "label-next"
"""The model version of empty predictions whose score says how useful a task is, before any training."""
BATCH_PREFIX = "accepted-"
"""Notes that begin so name the batch in which a region was accepted by precision."""


def noted(results: Sequence[Json], note: str) -> tuple[Json, ...]:
    """Return results as an annotation holds those that a model drew, with a note of how they came there."""
    return tuple({**one, "meta": {"text": [note]}} for one in as_predicted(results))


def note_of(result: Mapping[str, Any]) -> str | None:
    """Return the note of a result that this service wrote; None where somebody else drew it."""
    meta = result.get("meta")
    text = meta.get("text") if isinstance(meta, Mapping) else None
    notes = text if isinstance(text, list) else [text]
    return next((one for one in notes if isinstance(one, str) and _is_ours(one)), None)


def _is_ours(note: str) -> bool:
    return note == SECOND_LOOK or note.startswith(BATCH_PREFIX)
