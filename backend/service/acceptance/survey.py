"""What a version would have accepted: what it finds in tasks without annotation, and how often it is right.

A survey is made once by a job; which precision is wanted may then be moved at will.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.core.acceptance.cutoffs import Cutoff, cutoffs
from backend.service.ports import DocumentStore, Json

TASKS_PER_PART = 100


@dataclass(frozen=True)
class SurveyedTask:
    """What was found in a task without annotation.

    regions: label index and score of each label of each region. is_judged: nothing else was found in it, such
    as key points or answers, of which nobody knows how often they are right. result: in Label Studio's form.
    """

    task_id: int
    regions: tuple[tuple[int, float], ...]
    is_judged: bool
    result: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Survey:
    """One survey of a project.

    made_at: seconds since the epoch. scores, label_indices, hits: of what the version found in images that it
    did not learn from, held_out of them. tasks: without their results. parts: the folder of those.
    """

    made_at: float
    version: str
    labels: tuple[str, ...]
    held_out: int
    scores: tuple[float, ...]
    label_indices: tuple[int, ...]
    hits: tuple[bool, ...]
    tasks: tuple[SurveyedTask, ...]
    parts: str = "parts"

    def as_json(self) -> Json:
        """Return the document that `from_json` reads."""
        return {
            **vars(self),
            "labels": list(self.labels),
            "scores": list(self.scores),
            "label_indices": list(self.label_indices),
            "hits": list(self.hits),
            "tasks": [[task.task_id, list(map(list, task.regions)), task.is_judged] for task in self.tasks],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Survey:
        """Read a document."""
        return cls(
            float(content["made_at"]),
            str(content["version"]),
            tuple(content["labels"]),
            int(content["held_out"]),
            tuple(content["scores"]),
            tuple(content["label_indices"]),
            tuple(content["hits"]),
            tuple(
                SurveyedTask(
                    int(task_id), tuple((int(label), float(score)) for label, score in regions), is_judged
                )
                for task_id, regions, is_judged in content["tasks"]
            ),
            str(content.get("parts", "parts")),  # what is kept by an earlier release has no other
        )

    def cutoffs(self, precision: float) -> tuple[Cutoff, ...]:
        """Return from which score up each label is right as often as wanted."""
        return cutoffs(
            np.array(self.scores, np.float32),
            np.array(self.label_indices, np.int64),
            np.array(self.hits, np.bool_),
            len(self.labels),
            precision,
        )


@dataclass(frozen=True)
class Plan:
    """What would be accepted at a precision.

    whole: tasks of which everything is accepted. doubtful: tasks that keep their predictions, since something
    in them is not sure enough. empty: tasks in which nothing was found. regions: how many regions' labels are
    accepted. mistakes: how many of them are expected to be wrong.
    """

    cutoffs: tuple[Cutoff, ...]
    whole: tuple[int, ...]
    doubtful: int
    empty: int
    regions: int
    mistakes: float


def plan(survey: Survey, precision: float, annotated: Iterable[int] = ()) -> Plan:
    """Return what is accepted at a precision; annotated: tasks that somebody annotated since the survey."""
    found = survey.cutoffs(precision)
    lowest = [np.inf if one.score is None else one.score for one in found]
    passed_over = set(annotated)
    whole: list[int] = []
    doubtful = empty = regions = 0
    mistakes = 0.0
    for task in survey.tasks:
        if task.task_id in passed_over:
            continue
        if not task.regions and task.is_judged:
            empty += 1
        elif task.is_judged and all(score >= lowest[label] for label, score in task.regions):
            whole.append(task.task_id)
            regions += len(task.regions)
            mistakes += sum(1 - found[label].precision for label, _ in task.regions)
        else:
            doubtful += 1
    return Plan(found, tuple(whole), doubtful, empty, regions, mistakes)


@dataclass(frozen=True)
class Batch:
    """What was accepted together.

    annotations: task, annotation and fingerprint of its results, of each that was made. state: "accepting",
    "accepted", "undone". kept: how many of them were edited meanwhile, so that undoing left them.
    """

    batch_id: str
    made_at: float
    version: str
    precision: float
    state: str
    regions: int = 0
    mistakes: float = 0.0
    passed_over: int = 0
    kept: int = 0
    annotations: tuple[tuple[int, int, str], ...] = ()

    def as_json(self) -> Json:
        """Return the document that `from_json` reads."""
        return {**vars(self), "annotations": [list(one) for one in self.annotations]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Batch:
        """Read a document."""
        made = tuple(
            (int(task), int(annotation), str(seen)) for task, annotation, seen in content["annotations"]
        )
        return cls(**{**content, "annotations": made})


@dataclass(frozen=True)
class KeptSurveys:
    """The documents of all projects; every method may raise StoreError."""

    documents: DocumentStore

    def survey(self, key: str) -> Survey | None:
        """Return the last survey of a project."""
        content = self.documents.read(f"{_folder(key)}survey.json")
        return None if content is None else Survey.from_json(content)

    def keep(self, key: str, survey: Survey) -> None:
        """Replace the survey, of whose tasks all parts are kept, and forget the results of others."""
        self.documents.write(f"{_folder(key)}survey.json", survey.as_json())
        for path in self.documents.list(_folder(key)):
            folder = path.removeprefix(_folder(key)).split("/")[0]
            if folder.startswith("parts") and folder != survey.parts:
                self.documents.delete(path)

    def keep_part(self, key: str, parts: str, number: int, tasks: Sequence[SurveyedTask]) -> None:
        """Keep the results of the next TASKS_PER_PART tasks of a survey that is being made."""
        results = {str(task.task_id): list(task.result) for task in tasks}
        self.documents.write(f"{_folder(key)}{parts}/{number}.json", {"results": results})

    def results(self, key: str, survey: Survey, task_ids: Sequence[int]) -> Iterable[tuple[int, list[Json]]]:
        """Yield what was found in some tasks, in Label Studio's form, in the order of the survey."""
        wanted = set(task_ids)
        for number, start in enumerate(range(0, len(survey.tasks), TASKS_PER_PART)):
            part = [t.task_id for t in survey.tasks[start : start + TASKS_PER_PART] if t.task_id in wanted]
            if part:
                content = self.documents.read(f"{_folder(key)}{survey.parts}/{number}.json")
                known = {} if content is None else content["results"]
                yield from ((task_id, known[str(task_id)]) for task_id in part if str(task_id) in known)

    def batches(self, key: str) -> list[Batch]:
        """Return what was accepted so far, the newest first."""
        read = (self.documents.read(path) for path in self.documents.list(f"{_folder(key)}batches/"))
        batches = [Batch.from_json(content) for content in read if content is not None]
        # Their ids say nothing of their order: they come from the ids of jobs, which are drawn.
        return sorted(batches, key=lambda batch: -batch.made_at)

    def batch(self, key: str, batch_id: str) -> Batch | None:
        """Return one batch."""
        content = self.documents.read(f"{_folder(key)}batches/{batch_id}.json")
        return None if content is None else Batch.from_json(content)

    def note(self, key: str, batch: Batch) -> None:
        """Write a batch down as it is now."""
        self.documents.write(f"{_folder(key)}batches/{batch.batch_id}.json", batch.as_json())


def _folder(key: str) -> str:
    return f"projects/{key}/acceptance/"
