"""What predictions saved a project: counted from the annotations that they became, and told."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cachetools import LRUCache, TTLCache

from backend.core.labelstudio.annotators import moment_of
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.own_writes import MARKS, SECOND_LOOK
from backend.core.ledger.acts import (
    Act,
    acts_in_batch,
    acts_of,
    batch_of,
    comes_from_prediction,
    has_repairs,
    repairs_of,
)
from backend.core.ledger.costs import Costs, Work, work_of
from backend.service.ledger.entries import Counted, Entry, KeptLedgers
from backend.service.ports import Json, LabelStudio
from backend.service.projects.connections import Connections
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

TASKS_ASKED = 500
"""Of so many tasks at most the predictions are fetched in one count; the rest waits for the next one."""
DAY_S = 86_400
PERIODS = 14
LISTED_EVERY_S = 60.0
"""To find the projects that were counted, the whole store has to be listed."""
_MOST_TOLD = 1000
RULES = 2
"""Raised whenever annotations count otherwise than before, so that all are counted anew."""


@dataclass(frozen=True)
class AcceptedBatch:
    """What was accepted by precision together: by which version, and the share 0..1 expected to be right."""

    version: str
    right: float


AcceptedBatches = Callable[[str], Mapping[str, AcceptedBatch]]
"""Returns the batches of a project by their ids; may raise StoreError."""


@dataclass(frozen=True)
class LedgerDesk:
    """Counts and tells; batches: what was accepted by precision. costs: of the acts in seconds.

    now: seconds since the epoch. clock: seconds that only grow.
    """

    kept: KeptLedgers
    connections: Connections
    batches: AcceptedBatches
    costs: Costs = field(default_factory=Costs)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    _last_told: LRUCache[str, Json] = field(default_factory=lambda: LRUCache(_MOST_TOLD), init=False)
    _listed: TTLCache[str, list[str]] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Let the list of projects be listed anew after a while, by the clock."""
        object.__setattr__(self, "_listed", TTLCache(1, LISTED_EVERY_S, self.clock))

    def count(self, key: str) -> Json:
        """Count anew and return `told`. Raises LabelStudioError, LabelConfigError, StoreError."""
        label_studio = self.connections.label_studio(key)
        config = parse_label_config(str(label_studio.project(project_id(key)).get("label_config") or ""))
        self.note(key, label_studio.export_annotated(project_id(key)), config)
        return self.told(key)

    def note(self, key: str, tasks: Iterable[Json], config: LabelConfig) -> None:
        """Count the annotations of all annotated tasks that are new or changed; forget those that are gone.

        Raises LabelStudioError, StoreError.
        """
        before = self.kept.read(key).entries
        batches = self.batches(key)
        entries: dict[int, Entry] = {}
        asked = 0
        for task in tasks:
            found = [one for one in task.get("annotations") or () if _counts(one)]
            stale = [one for one in found if _is_stale(one, before.get(int(one["id"])))]
            entries.update(
                {int(one["id"]): before[int(one["id"])] for one in found if int(one["id"]) in before}
            )
            predictions: dict[int, Json] = {}
            if any(one.get("parent_prediction") is not None for one in stale):
                if asked >= TASKS_ASKED:
                    continue
                asked += 1
                predictions = _predictions(self.connections.label_studio(key), int(task["id"]))
            for one in stale:
                number = int(one["id"])
                entries[number] = _entry(one, predictions, batches, config, before.get(number))
        self.kept.write(key, Counted(self.now(), entries))

    def told(self, key: str) -> Json:
        """Return acts and hours by label, by version, and over time; added up once for each count."""
        with self._lock:
            last = self._last_told.get(key)
        if last is not None and last["counted_at"] == self.kept.counted_at(key):
            return last
        told = self._added_up(key)
        with self._lock:
            self._last_told[key] = told
        return told

    def _added_up(self, key: str) -> Json:
        counted = self.kept.read(key)
        entries = [entry for entry in counted.entries.values() if entry.acts]
        by_version: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_version[entry.version].append(entry)
        labels = sorted({label for entry in entries for label, _, _ in entry.acts})
        return {
            "counted_at": counted.counted_at,
            "annotations": len(entries),
            "incomplete": sum(not entry.is_whole for entry in entries),
            "acts": _acts(entries),
            **self._hours(entries),
            "by_label": [{"label": label, "acts": _acts(entries, label)} for label in labels],
            "by_version": [
                {
                    "version": version,
                    "annotations": len(mine),
                    "acts": _acts(mine),
                    **self._hours(mine),
                }
                for version, mine in sorted(by_version.items(), reverse=True)
            ],
            "over_time": self._over_time(entries),
            "costs_s": dict(vars(self.costs)),
        }

    def all_told(self) -> dict[str, Json]:
        """Return `told` of each project of which something was counted. Raises StoreError.

        A project that was counted for the first time is among them after LISTED_EVERY_S at most.
        """
        with self._lock:
            listed = self._listed.get("projects")
        if listed is None:
            listed = self.kept.projects()
            with self._lock:
                self._listed["projects"] = listed
        return {key: self.told(key) for key in listed}

    def _over_time(self, entries: Sequence[Entry]) -> list[Json]:
        """Return hours saved in each of the last days, or weeks where the work took more days."""
        if not entries:
            return []
        days = [int(entry.made_at // DAY_S) for entry in entries]
        length = 1 if max(days) - min(days) < PERIODS else 7
        last = max(days) // length
        by_period: dict[int, list[Entry]] = defaultdict(list)
        for day, entry in zip(days, entries, strict=True):
            by_period[day // length].append(entry)
        first = max(min(by_period), last - PERIODS + 1)
        return [
            {
                "starts_at": period * length * DAY_S,
                "days": length,
                "annotations": len(by_period.get(period, ())),
                **self._hours(by_period.get(period, ())),
            }
            for period in range(first, last + 1)
        ]

    def _hours(self, entries: Iterable[Entry]) -> Json:
        works = (work_of(entry.acts, self.costs, entry.accepted_right) for entry in entries)
        work = sum(works, Work())
        return {
            "hours_by_hand": round(work.by_hand_s / 3600, 4),
            "hours_saved": round(work.saved_s / 3600, 4),
        }


def _counts(annotation: Any) -> bool:
    return (
        isinstance(annotation, Mapping)
        and isinstance(annotation.get("id"), int)
        and isinstance(annotation.get("result"), list)
        and not annotation.get("was_cancelled")
        and (comes_from_prediction(annotation) or has_repairs(annotation["result"]))
    )


def _is_stale(annotation: Mapping[str, Any], entry: Entry | None) -> bool:
    return entry is None or entry.state != _state(annotation)


def _state(annotation: Mapping[str, Any]) -> str:
    return (
        f"{RULES} {annotation.get('updated_at') or annotation.get('created_at')} {len(annotation['result'])}"
    )


def _predictions(label_studio: LabelStudio, task_id: int) -> dict[int, Json]:
    return {int(one["id"]): one for one in label_studio.predictions(task_id)}


def _entry(
    annotation: Mapping[str, Any],
    predictions: Mapping[int, Json],
    batches: Mapping[str, AcceptedBatch],
    config: LabelConfig,
    before: Entry | None,
) -> Entry:
    """Return the entry of an annotation; what was known of a prediction that is gone since is not lost."""
    result = annotation["result"]
    parent = predictions.get(annotation.get("parent_prediction") or -1)
    batch_id = None if parent is not None else batch_of(result)
    made = moment_of(annotation.get("updated_at") or annotation.get("created_at"))
    entry = Entry(
        version=str((parent or {}).get("model_version") or (before.version if before else "")),
        made_at=0.0 if made is None else made.timestamp(),
        state=_state(annotation),
        is_whole=parent is not None,
        acts=Counter(),
    )
    if entry.version == MARKS:
        return replace(entry, is_whole=True)  # an empty prediction, made for its score alone
    if entry.version == SECOND_LOOK or not comes_from_prediction(annotation):
        acts = repairs_of(result, config)
        return replace(entry, version=SECOND_LOOK, is_whole=True, acts=acts)
    if batch_id is not None:
        batch = batches.get(batch_id)
        counted = before.acts if before is not None and before.is_whole else None
        return replace(
            entry,
            version=entry.version if batch is None else batch.version,
            is_whole=True,
            acts=acts_in_batch(result, counted, config),
            accepted_right=1.0 if batch is None else batch.right,
        )
    if parent is None and before is not None and before.is_whole:
        return replace(before, state=entry.state)
    predicted = None if parent is None else parent.get("result") or ()
    return replace(entry, acts=acts_of(result, predicted, config))


def _acts(entries: Iterable[Entry], label: str | None = None) -> dict[str, int]:
    counts = dict.fromkeys((act.value for act in Act), 0)
    for entry in entries:
        for (one, _, act), count in entry.acts.items():
            if label is None or one == label:
                counts[act.value] += count
    return counts
