"""Thirds of the tasks of a project, always the same ones for the same tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

FOLDS = 3


def folds_of(task_ids: Sequence[int]) -> list[int]:
    """Return for each image the third that its task belongs to, 0 up to FOLDS.

    Images of one task stay together. Tasks go round in the order of a digest of their ids, so the thirds are
    of one size and neighbours, which are often alike, are spread over them.
    """
    tasks = sorted(set(task_ids), key=lambda task: hashlib.sha256(f"fold {task}".encode()).digest())
    fold_of = {task: position % FOLDS for position, task in enumerate(tasks)}
    return [fold_of[task] for task in task_ids]
