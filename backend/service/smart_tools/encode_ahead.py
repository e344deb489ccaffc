"""Prepares the images an annotator will point at next, while nobody waits for anything.

After a prompt or a prediction for one task, its own image comes first, then the next unlabelled tasks of its
project, listed through Label Studio's API. Their images are encoded one by one, each only after no web
process of the machine had anybody waiting for a moment. A newer wish replaces an older one; a request that
comes in meanwhile goes first in the batching queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from backend.core.labelstudio.label_config import LabelConfig
from backend.errors import BackendError
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.pipeline import task_id_of
from backend.service.ports import ImageAccess, Json, LabelStudio, WaitingRoom
from backend.service.projects.projects import project_id
from backend.service.smart_tools.answers import task_references
from backend.service.smart_tools.encoded_images import EncodedImages

logger = logging.getLogger(__name__)

TASKS_AHEAD = 3
IDLE_S = 0.8
PAGE_SIZE = 50
MOST_PAGES = 4
PATIENCE_S = 20.0
"""A wish that found no idle moment for so long is dropped: the annotator has moved on."""


@dataclass(frozen=True)
class _Wish:
    project_key: str
    task: Mapping[str, Any]
    config: LabelConfig
    access: ImageAccess
    since: float


class EncodeAhead:
    """One thread that starts with the first wish; `follow` never waits."""

    def __init__(
        self,
        encoded: EncodedImages,
        batching: BatchingQueue,
        waiting_room: WaitingRoom,
        label_studio: Callable[[str], LabelStudio],
        *,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """label_studio: gives the API by project key."""
        self._encoded = encoded
        self._batching = batching
        self._waiting_room = waiting_room
        self._label_studio = label_studio
        self._idle_s = idle_s
        self._clock = clock
        self._condition = threading.Condition()
        self._wish: _Wish | None = None
        self._thread: threading.Thread | None = None

    def follow(
        self, project_key: str, task: Mapping[str, Any], config: LabelConfig, access: ImageAccess
    ) -> None:
        """Wish for `task` and what comes after it; replaces the wish before."""
        if task_id_of(task) is None:
            return
        with self._condition:
            self._wish = _Wish(project_key, task, config, access, self._clock())
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="encode-ahead", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _work(self) -> None:
        while True:
            with self._condition:
                while self._wish is None:
                    self._condition.wait()
                wish, self._wish = self._wish, None
            try:
                self._fulfil(wish)
            except BackendError as exc:
                logger.info("project %s: nothing encoded ahead: %s", wish.project_key, exc)
            except Exception:  # the border of a thread that must go on
                logger.exception("project %s: encoding ahead failed", wish.project_key)

    def _fulfil(self, wish: _Wish) -> None:
        if not self._wait_for_idleness(wish):
            return
        for task in chain([wish.task], self._next_unlabelled(wish)):
            for reference in task_references(task, wish.config):
                access = replace(wish.access, task_id=task_id_of(task))
                try:
                    if self._encoded.is_encoded(reference, wish.project_key, access):
                        continue
                    if not self._wait_for_idleness(wish):
                        return
                    self._encoded.encode(reference, wish.project_key, access)
                except BackendError as exc:
                    logger.info("task %s is not encoded ahead: %s", task.get("id"), exc)

    def _wait_for_idleness(self, wish: _Wish) -> bool:
        """Wait until nobody has waited for a moment; False if a newer wish came or time ran out."""
        while self._clock() - wish.since < PATIENCE_S:
            with self._condition:
                if self._wish is not None:
                    return False
            idle_s = self._waiting_room.seconds_empty()
            if self._batching.is_idle and idle_s >= self._idle_s:
                return True
            time.sleep(max(0.02, min(self._idle_s - idle_s, 0.2)))
        return False

    def _next_unlabelled(self, wish: _Wish) -> Iterator[Json]:
        """Yield the next few tasks that nobody has labelled, in the order of their ids.

        A task's `inner_id` is its place in the project, so the listing starts near it rather than at page 1.
        """
        own_id = task_id_of(wish.task)
        assert own_id is not None
        number = project_id(wish.project_key)
        inner_id = wish.task.get("inner_id")
        first = max(1, (inner_id - 1) // PAGE_SIZE + 1) if isinstance(inner_id, int) and inner_id > 0 else 1
        label_studio = self._label_studio(wish.project_key)
        left = TASKS_AHEAD
        for page in range(first, first + MOST_PAGES):
            tasks, total = label_studio.tasks(number, page=page, page_size=PAGE_SIZE)
            for task in tasks:
                task_id = task_id_of(task)
                if task_id is not None and task_id > own_id and not _is_labelled(task):
                    yield task
                    left -= 1
                    if left == 0:
                        return
            if page * PAGE_SIZE >= total:
                return


def _is_labelled(task: Mapping[str, Any]) -> bool:
    return bool(task.get("is_labeled") or task.get("total_annotations"))
