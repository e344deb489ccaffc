"""Which annotation of a task counts, where several people or one person several times annotated it.

Of each annotator the newest annotation counts, and of those the newest that draws something, or else answers
something about the image. One without a drawing says "nothing is here" to its own annotator's older ones; it
takes nobody else's drawing away, and counts only where none of them draws.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from backend.core.answers.kinds import answer_kind
from backend.core.regions.kinds import OTHER_TYPES, kind_of_value

Annotation = Mapping[str, Any]
_FRACTION = re.compile(r"\.(\d+)")


def choose_annotation(task: Mapping[str, Any]) -> Annotation | None:
    """Return the annotation of a task that counts; None where none was made, or all were cancelled."""
    newest = newest_of_each_annotator(task)
    drawn = tuple(annotation for annotation in newest if _draws(annotation))
    answered = tuple(annotation for annotation in newest if _answers(annotation))
    counting = drawn or answered or newest
    return counting[-1] if counting else None


def newest_of_each_annotator(task: Mapping[str, Any]) -> tuple[Annotation, ...]:
    """Return the newest annotation of each annotator that was not cancelled and has a list of results.

    Ordered from old to new: by `updated_at`, else `created_at`, then by id. Those that do not say who made
    them (`completed_by`) count as one annotator's. `ground_truth` says nothing: Label Studio sets it on every
    imported annotation.
    """
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        return ()
    usable = [
        annotation
        for annotation in annotations
        if isinstance(annotation, Mapping)
        and not annotation.get("was_cancelled")
        and isinstance(annotation.get("result"), list)
    ]
    newest = {_annotator(annotation): annotation for annotation in sorted(usable, key=_age_key)}
    return tuple(sorted(newest.values(), key=_age_key))


def _annotator(annotation: Annotation) -> str:
    """Return who made it: Label Studio writes the user's id, or the user as an object."""
    user = annotation.get("completed_by")
    return str(user.get("id") or user.get("email")) if isinstance(user, Mapping) else str(user)


def _draws(annotation: Annotation) -> bool:
    results: Sequence[Any] = annotation["result"]
    return any(
        kind_of_value(result.get("value")) is not None or str(result.get("type")).lower() in OTHER_TYPES
        for result in results
        if isinstance(result, Mapping)
    )


def _answers(annotation: Annotation) -> bool:
    results: Sequence[Any] = annotation["result"]
    types = (str(result.get("type")) for result in results if isinstance(result, Mapping))
    return any(answer_kind(type_) is not None for type_ in types)


def _age_key(annotation: Annotation) -> tuple[datetime, int]:
    moments = (moment_of(annotation.get(key)) for key in ("updated_at", "created_at"))
    moment = next((m for m in moments if m is not None), datetime.min.replace(tzinfo=timezone.utc))
    number = annotation.get("id")
    return moment, number if isinstance(number, int) else -1


def moment_of(written: Any) -> datetime | None:
    """Return a moment written as ISO 8601, or as seconds since the epoch, as Label Studio did before 1.0."""
    try:
        if isinstance(written, int | float) and not isinstance(written, bool):
            return datetime.fromtimestamp(written, timezone.utc)
        if not isinstance(written, str):
            return None
        moment = datetime.fromisoformat(_FRACTION.sub(_six_digits, written.replace("Z", "+00:00")))
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _six_digits(fraction: re.Match[str]) -> str:
    """Return the fraction of a second in six digits: Python 3.10 reads three or six, and no others."""
    return f".{fraction[1][:6]:0<6}"
