"""Which annotated tasks a version did not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backend.core.labelstudio.annotators import choose_annotation, moment_of
from backend.core.versions.card import VersionCard
from backend.errors import VersionError
from backend.service.ports import VersionStore
from backend.training.parameters import SCRATCH


def unseen_tasks(
    store: VersionStore, key: str, card: VersionCard, tasks: Iterable[Mapping[str, Any]]
) -> set[int]:
    """Return the ids of the annotated tasks that a version surely did not learn from.

    Those that its training held back, those that were not among the tasks it was told to take, and those
    whose annotations were all made after it was. The version that it started from must not have learned from
    them either, nor the one before that; where that one's card is gone, only its training knew that, and the
    time tells. Of a version of another project only the time tells: its numbers are those of other tasks.
    Raises StoreError.
    """
    annotated = {
        task["id"]: task
        for task in tasks
        if isinstance(task.get("id"), int) and choose_annotation(task) is not None
    }
    unseen = set(annotated)
    surely: set[int] = set()
    met: set[str] = set()
    oldest: VersionCard | None = card
    while oldest is not None:
        unseen -= _taught(oldest, key, [annotated[task_id] for task_id in unseen])
        if oldest.is_held_out_of_start and _is_of(oldest, key):
            surely |= unseen.intersection(oldest.held_out_tasks)
        met.add(oldest.version)
        start = str(oldest.params.get("start_from", SCRATCH))
        if start == SCRATCH:
            return surely | unseen
        created_at, oldest = oldest.created_at, _card(store, key, start) if start not in met else None
    return surely | {task_id for task_id in unseen if _is_younger(annotated[task_id], created_at)}


def _taught(card: VersionCard, key: str, tasks: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the ids of the tasks that the training of a version may have learned from."""
    held_out, told = set(card.held_out_tasks), card.params.get("task_ids")
    if not _is_of(card, key):
        held_out, told = set(), None
    chosen = None if told is None else set(told)
    return {
        task["id"]
        for task in tasks
        if task["id"] not in held_out
        and (chosen is None or task["id"] in chosen)
        and not _is_younger(task, card.created_at)
    }


def _is_of(card: VersionCard, key: str) -> bool:
    """Tell whether a version was trained in this project: its key, or the start of it, is named."""
    trained_in = card.project_key
    return trained_in is None or f"{key}.".startswith(f"{trained_in}.")


def _card(store: VersionStore, key: str, version: str) -> VersionCard | None:
    try:
        return store.card(key, version)
    except VersionError:
        return None


def _is_younger(task: Mapping[str, Any], moment: float | None) -> bool:
    """Tell whether each annotation of a task was made after a moment, in seconds since the epoch."""
    if moment is None:
        return False
    made = [moment_of(annotation.get("created_at")) for annotation in task["annotations"]]
    return all(one is not None and one.timestamp() > moment for one in made)
