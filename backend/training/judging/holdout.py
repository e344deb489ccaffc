"""Which images judge a training, held back, joining late or learned: the same ones for the same tasks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Hashable, Sequence, Set

import numpy as np

from backend.core.geometry.instances import TrainingTarget
from backend.training.recipe import RECIPE, Recipe

LEARNED_IMAGES_MAX = 32
"""So many of the images that were learned from tell what scores mean."""


def split_by_task(
    task_ids: Sequence[int], recipe: Recipe = RECIPE, known: Set[int] = frozenset()
) -> tuple[list[int], list[int]]:
    """Return (training, held-out) positions in `task_ids`.

    Pages of one task stay together. A task's id alone decides, by a digest that puts a share of
    held_out_share of all ids on the held-out side, so a task keeps its side whatever joins or leaves the
    project. Only where that gives fewer than held_out_min_tasks the next by digest are taken. A task whose
    pages would make it more than held_out_max_images, or more than half of all images, teaches instead. With
    fewer than held_out_min_images images none is held out. Nor is a task of `known`: the network has learned
    from it before.
    """
    if len(task_ids) < recipe.held_out_min_images:
        return list(range(len(task_ids))), []
    tasks = sorted(set(task_ids) - known, key=_digest)
    below = round(recipe.held_out_share * 2**256).to_bytes(32, "big")
    by_digest = sum(_digest(task) < below for task in tasks)
    pages = Counter(task_ids)
    left = min(recipe.held_out_max_images, len(task_ids) // 2)
    held_out = set[int]()
    for number, task in enumerate(tasks):
        if number >= by_digest and len(held_out) >= recipe.held_out_min_tasks:
            break
        if pages[task] <= left:
            held_out.add(task)
            left -= pages[task]
    training = [i for i, task in enumerate(task_ids) if task not in held_out]
    return training, [i for i, task in enumerate(task_ids) if task in held_out]


def split_late(
    task_ids: Sequence[int], labels_shown: Sequence[Collection[Hashable]], recipe: Recipe = RECIPE
) -> tuple[list[int], list[int]]:
    """Return (from the start, late) positions in `task_ids`, of images of which none is held back.

    labels_shown: the labels drawn on each image, and what else it teaches. At most late_share of the images
    join late, whole tasks by digest as above, and none without which a label would be shown by no image from
    the start. With fewer than late_min_images images, or so many that some are held back, none joins late.
    """
    if not recipe.late_min_images <= len(task_ids) < recipe.held_out_min_images:
        return list(range(len(task_ids))), []
    first, late = set(range(len(task_ids))), set[int]()
    for task in sorted(set(task_ids), key=_digest):
        joining = {i for i in first if task_ids[i] == task}
        staying = first - joining
        lost = {k for i in joining for k in labels_shown[i]} - {k for i in staying for k in labels_shown[i]}
        if not lost and len(late) + len(joining) <= round(recipe.late_share * len(task_ids)):
            first, late = staying, late | joining
    return sorted(first), sorted(late)


def sample_learned(targets: Sequence[TrainingTarget]) -> list[int]:
    """Return the positions of at most LEARNED_IMAGES_MAX of the images that were learned from.

    Evenly from all of them, since neighbours are often alike; at least half show objects, if so many do.
    """
    if len(targets) <= LEARNED_IMAGES_MAX:
        return list(range(len(targets)))
    shown = [i for i, target in enumerate(targets) if len(target)]
    empty = [i for i, target in enumerate(targets) if not len(target)]
    share = max(round(LEARNED_IMAGES_MAX * len(shown) / len(targets)), LEARNED_IMAGES_MAX // 2)
    shown_count = max(min(share, len(shown)), LEARNED_IMAGES_MAX - len(empty))
    return sorted(_spread(shown, shown_count) + _spread(empty, LEARNED_IMAGES_MAX - shown_count))


def _spread(positions: Sequence[int], count: int) -> list[int]:
    return [positions[i] for i in np.linspace(0, len(positions) - 1, count).round().astype(int)]


def _digest(task_id: int) -> bytes:
    return hashlib.sha256(str(task_id).encode()).digest()
