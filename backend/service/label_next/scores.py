"""The scores of predictions, by which Label Studio sorts and hands out tasks; those of regions stay.

Label Studio 1.23.2 hands out the task with the lowest score first (`_try_uncertainty_sampling` in
projects/functions/next_task.py), among those with a prediction of the project's model version, and its Data
Manager puts tasks without a score last in both directions (`apply_ordering` in data_manager/managers.py). A
prediction therefore carries 1 - usefulness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from backend.core.labelstudio.own_writes import MARKS
from backend.errors import LabelStudioGone, StoreError
from backend.service.label_next.ranking import KeptRankings, Ranking
from backend.service.label_next.switched import KeptSwitches
from backend.service.ports import Json, LabelStudio
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

SAME_SCORE = 0.005
_PER_PUSH = 100


def written_score(usefulness: float) -> float:
    """Return the score that makes Label Studio hand out the most useful task first."""
    return round(1.0 - usefulness, 4)


@dataclass(frozen=True)
class PredictionScores:
    """Gives predictions the score that the project chose; threads may share it."""

    rankings: KeptRankings
    switches: KeptSwitches

    def rescored(self, key: str, task_id: int | None, prediction: Json) -> Json:
        """Return a prediction with 1 - usefulness as its score, where the project wants that."""
        try:
            if task_id is None or not self.switches.read_recent(key).writes_usefulness:
                return prediction
            useful = self.rankings.useful(key).get(task_id)
        except StoreError as exc:
            logger.warning("project %s: a prediction keeps the score of its version: %s", key, exc)
            return prediction
        return prediction if useful is None else {**prediction, "score": written_score(useful.usefulness)}

    def bring_in_line(
        self,
        key: str,
        label_studio: LabelStudio,
        ranking: Ranking,
        version: str | None,
        goes_on: Callable[[], bool],
    ) -> int:
        """Change the scores that Label Studio stores to what the project wants; return how many were changed.

        version: the one that serves; None before any training, where marks carry the scores. goes_on: asked
        before each change. Raises LabelStudioError, StoreError.
        """
        switched = self.switches.read(key)
        if switched.marks and (version is not None or not switched.writes_usefulness):
            self._remove_marks(key, label_studio)
            switched = self.switches.read(key)
        if switched.writes_usefulness:
            wanted = {i: written_score(useful.usefulness) for i, useful in ranking.tasks.items()}
            if version is None:
                return self._mark(key, label_studio, wanted, goes_on)
            self.switches.write(key, replace(switched, has_written=True))
            return _change_scores(label_studio, project_id(key), version, wanted, goes_on)
        if not switched.has_written or version is None:
            return 0
        qualities = {i: useful.quality for i, useful in ranking.tasks.items() if useful.quality is not None}
        changed = _change_scores(label_studio, project_id(key), version, qualities, goes_on)
        now = self.switches.read(key)  # changing scores takes minutes, and somebody may have turned it
        if goes_on() and not now.writes_usefulness:
            self.switches.write(key, replace(now, has_written=False))
        return changed

    def _mark(
        self, key: str, label_studio: LabelStudio, wanted: Mapping[int, float], goes_on: Callable[[], bool]
    ) -> int:
        number, switched = project_id(key), self.switches.read(key)
        if not switched.marks:
            before = label_studio.project(number).get("model_version")
            self.switches.write(key, replace(switched, marks=True, model_version_before=before))
        marked = label_studio.predicted_task_ids(number, MARKS)
        missing = [
            {"task": i, "result": [], "score": score, "model_version": MARKS}
            for i, score in wanted.items()
            if i not in marked
        ]
        for start in range(0, len(missing), _PER_PUSH):
            if not goes_on():
                return start
            label_studio.import_predictions(number, missing[start : start + _PER_PUSH])
        label_studio.set_model_version(number, MARKS)
        known = {i: score for i, score in wanted.items() if i in marked}
        return len(missing) + _change_scores(label_studio, number, MARKS, known, goes_on)

    def _remove_marks(self, key: str, label_studio: LabelStudio) -> None:
        number, switched = project_id(key), self.switches.read(key)
        for task_id in sorted(label_studio.predicted_task_ids(number, MARKS)):
            label_studio.delete_predictions(
                int(one["id"]) for one in label_studio.predictions(task_id) if one["model_version"] == MARKS
            )
        if label_studio.project(number).get("model_version") == MARKS:
            label_studio.set_model_version(number, switched.model_version_before or "")
        now = self.switches.read(key)  # removing takes minutes, and somebody may have turned it
        self.switches.write(key, replace(now, marks=False, model_version_before=None))


def _change_scores(
    label_studio: LabelStudio,
    number: int,
    version: str,
    wanted: Mapping[int, float],
    goes_on: Callable[[], bool],
) -> int:
    """Change the scores of a version's stored predictions, the lowest first; return how many were changed."""
    predicted = label_studio.predicted_task_ids(number, version)
    known = label_studio.prediction_scores(number)
    changed = 0
    for task_id in sorted(predicted & set(wanted), key=lambda i: wanted[i]):
        if abs(known.get(task_id, 2.0) - wanted[task_id]) < SAME_SCORE:
            continue
        if not goes_on():
            break
        for one in label_studio.predictions(task_id):
            if one["model_version"] != version:
                continue
            try:
                label_studio.set_prediction_score(int(one["id"]), wanted[task_id])
                changed += 1
            except LabelStudioGone:
                logger.info("prediction %s of task %s is gone meanwhile", one["id"], task_id)
    return changed
