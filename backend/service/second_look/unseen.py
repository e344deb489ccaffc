"""Which annotated tasks a version did not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backend.core.labelstudio.annotators import choose_annotation, moment_of
from backend.core.versions.card import VersionCard


def unseen_tasks(card: VersionCard, tasks: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the ids of the annotated tasks that a version surely did not learn from.

    Those that its training held back, those that were not among the tasks it was told to take, and those
    whose annotations were all made after it was.
    """
    held_out = set(card.held_out_tasks)
    chosen = card.params.get("task_ids")
    told = None if chosen is None else set(chosen)
    unseen = set()
    for task in tasks:
        task_id = task.get("id")
        if not isinstance(task_id, int) or choose_annotation(task) is None:
            continue
        is_left_out = told is not None and task_id not in told
        if task_id in held_out or is_left_out or _is_younger(task, card.created_at):
            unseen.add(task_id)
    return unseen


def _is_younger(task: Mapping[str, Any], moment: float | None) -> bool:
    """Tell whether each annotation of a task was made after a moment, in seconds since the epoch."""
    if moment is None:
        return False
    made = [moment_of(annotation.get("created_at")) for annotation in task["annotations"]]
    return all(one is not None and one.timestamp() > moment for one in made)
