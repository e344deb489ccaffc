"""What tells annotations that teach something from others: a digest of all that is learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def labels_digest(tasks: Sequence[Any], xml: str) -> str:
    """Return a digest of everything a training learns from, whatever the order in which it comes.

    Who drew something, when and how fast is left out: opening and saving without a change teaches nothing.
    """
    drawn = sorted(json.dumps(_what_teaches(task), sort_keys=True, default=str) for task in tasks)
    return hashlib.sha256("\n".join([xml, *drawn]).encode()).hexdigest()


def _what_teaches(task: Any) -> Any:
    if not isinstance(task, Mapping):
        return task
    annotations = task.get("annotations")
    if isinstance(annotations, list):
        annotations = [
            [one.get("was_cancelled"), one.get("result")] if isinstance(one, Mapping) else one
            for one in annotations
        ]
    return [task.get("id"), task.get("data"), annotations]
