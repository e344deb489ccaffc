"""Which images are held back to judge a training: always the same ones for the same tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from backend.training.recipe import HELD_OUT_MAX_IMAGES, HELD_OUT_MIN_IMAGES, HELD_OUT_SHARE


def split_by_task(task_ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return (training, held-out) positions in `task_ids`.

    Pages of one task stay together. The tasks with the smallest digests are held out, so a task keeps its
    side while a project grows; with fewer than HELD_OUT_MIN_IMAGES images none is.
    """
    if len(task_ids) < HELD_OUT_MIN_IMAGES:
        return list(range(len(task_ids))), []
    tasks = sorted(set(task_ids), key=_digest)
    wanted = min(HELD_OUT_MAX_IMAGES, max(2, round(HELD_OUT_SHARE * len(tasks))), len(tasks) - 1)
    held_out = set(tasks[: max(wanted, 0)])
    training = [i for i, task in enumerate(task_ids) if task not in held_out]
    return training, [i for i, task in enumerate(task_ids) if task in held_out]


def _digest(task_id: int) -> bytes:
    return hashlib.sha256(str(task_id).encode()).digest()
