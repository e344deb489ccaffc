"""Counting, accepting and undoing what is right often enough, as jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.core.geometry.matching import scored_hits
from backend.core.labelstudio.corrections import fingerprint
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.own_writes import BATCH_PREFIX, noted
from backend.core.labelstudio.results import read_regions
from backend.core.labelstudio.task_labels import config_of_tasks
from backend.errors import LabelStudioGone, NotEnoughData, NotFoundError, TrainingStopped
from backend.service.acceptance.requests import ACCEPT, SURVEY, AcceptRequest
from backend.service.acceptance.survey import (
    TASKS_PER_PART,
    Batch,
    KeptSurveys,
    Survey,
    SurveyedTask,
    plan,
)
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import Predictor
from backend.service.engine.pipeline import Pipeline, Work
from backend.service.engine.work_items import DetectionLimits
from backend.service.jobs import jobs
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.report import PredictionProgress
from backend.service.jobs.requests import JobRequests
from backend.service.learning.samples import gather_samples
from backend.service.ports import ImageSource, Json, LabelStudio
from backend.service.projects.connections import Connections
from backend.service.projects.parameters import Thresholds, thresholds, training_params
from backend.service.projects.projects import Projects, project_id
from backend.service.second_look.asked import found_in
from backend.service.versions.models import Models
from backend.service.versions.unseen import unseen_tasks
from backend.training.inputs import TrainingPaused

logger = logging.getLogger(__name__)

_TASKS_AT_ONCE = 64
_NOTED_EVERY = 25


@dataclass(frozen=True)
class Acceptances:
    """Does what `backend.service.acceptance.requests` queues; the worker's half.

    now: seconds since the epoch.
    """

    projects: Projects
    connections: Connections
    models: Models
    jobs: JobRequests
    images: ImageSource
    batching: BatchingQueue
    pipeline: Pipeline
    kept: KeptSurveys
    now: Callable[[], float] = time.time

    def run(self, job: RunningJob) -> JobOutcome:
        """Do what the job's request says. Raises BackendError with the reason why not."""
        request = self.jobs.read(job.record, AcceptRequest.from_document)
        label_studio = self.connections.label_studio(request.project_key)
        if request.action == SURVEY:
            return self._survey(job, request.project_key, label_studio)
        if request.action == ACCEPT:
            return self._accept(job, request, label_studio)
        return self._undo(job, request, label_studio)

    def _survey(self, job: RunningJob, key: str, label_studio: LabelStudio) -> JobOutcome:
        version = self.models.loaded.current(key)
        predictor = self.models.loaded.predictor(key, version) if version is not None else None
        if version is None or predictor is None:
            raise NotEnoughData(f"project {key} has no trained model yet; train it first")
        xml = str(label_studio.project(project_id(key))["label_config"])
        annotated = label_studio.export_annotated(project_id(key))
        config = config_of_tasks(parse_label_config(xml), annotated)
        limits = thresholds(self.projects, key, {}, config)
        card = self.models.store.card(key, version)
        unseen = unseen_tasks(self.models.store, key, card, annotated)
        if not unseen:
            raise NotEnoughData(
                f"version {version} learned from every annotated image, so nobody knows how right it is "
                "on others; annotate more, so that a training holds some back"
            )
        params, _ = training_params(self.projects, key, {})
        chosen = replace(params, task_ids=tuple(sorted(unseen)))
        asked = DetectionLimits(limits.lowest_confidence, limits.nms, with_masks=False)
        try:
            gathered = gather_samples(self.images, self.connections, job, key, config, annotated, chosen)
            seen = list(found_in(job, self.batching, predictor, gathered.samples, config, asked))
        except TrainingPaused:
            return JobOutcome(jobs.REQUEUE, job.report)
        except TrainingStopped:
            return JobOutcome(jobs.STOPPED, job.report)
        scores, label_indices, hits, _ = scored_hits(
            [found for _, found in seen], [sample.target for sample, _ in seen]
        )
        waiting = [task for task in label_studio.iterate_tasks(project_id(key)) if not _is_annotated(task)]
        tasks: list[SurveyedTask] = []
        part: list[SurveyedTask] = []
        parts = f"parts-{job.job_id}"
        for done, task in enumerate(self._surveyed(key, config, predictor, waiting, limits), start=1):
            job.progress = PredictionProgress(done, len(waiting))
            job.show()
            # The masks of all tasks together would fill the memory.
            tasks.append(replace(task, result=()))
            part.append(task)
            if len(part) == TASKS_PER_PART:
                self.kept.keep_part(key, parts, len(tasks) // TASKS_PER_PART - 1, part)
                part.clear()
            if (wish := job.stop_or_pause()) is not None:
                return JobOutcome(jobs.REQUEUE if wish == "pause" else jobs.STOPPED, job.report)
        if failed := len(waiting) - len(tasks):
            job.warn(
                f"{failed} {'task is' if failed == 1 else 'tasks are'} not counted, because they could not "
                "be predicted; the log says why"
            )
        if part:
            self.kept.keep_part(key, parts, len(tasks) // TASKS_PER_PART, part)
        survey = Survey(
            self.now(),
            version,
            config.labels,
            len(seen),
            tuple(round(float(score), 5) for score in scores),
            tuple(label_indices.tolist()),
            tuple(hits.tolist()),
            tuple(tasks),
            parts,
        )
        self.kept.keep(key, survey)
        job.show(at_once=True)
        return JobOutcome(jobs.FINISHED, job.report, version)

    def _surveyed(
        self,
        key: str,
        config: LabelConfig,
        predictor: Predictor,
        tasks: Sequence[Json],
        limits: Thresholds,
    ) -> Iterator[SurveyedTask]:
        number = {label: index for index, label in enumerate(config.labels)}
        work = Work(key, config, (), limits, lambda task_id: self.connections.image_access(key, task_id))
        for start in range(0, len(tasks), _TASKS_AT_ONCE):
            chunk = tasks[start : start + _TASKS_AT_ONCE]
            for answered in self.pipeline.run(replace(work, tasks=chunk), predictor):
                if answered.prediction is not None:
                    task_id = int(chunk[answered.position]["id"])
                    yield _task_of(task_id, answered.prediction["result"], config, number)

    def _accept(self, job: RunningJob, request: AcceptRequest, label_studio: LabelStudio) -> JobOutcome:
        """Accept what the survey says, and note what was made however it ends.

        What a worker made that was killed before it noted it is known again by its batch.
        """
        key = request.project_key
        survey = self.kept.survey(key)
        if survey is None:
            raise NotFoundError("it is not known any more what would be accepted; count again")
        batch_id = f"{BATCH_PREFIX}{job.job_id.rpartition('-')[2]}"
        known = self.kept.batch(key, batch_id)
        batch = known or Batch(batch_id, self.now(), survey.version, request.precision, "accepting")
        batch = replace(batch, passed_over=0)  # those tasks are looked at again
        accepted = plan(survey, request.precision)
        done = {task_id for task_id, _, _ in batch.annotations}
        lowest = {label: cut for label, cut in enumerate(accepted.cutoffs)}
        by_id = {task.task_id: task for task in survey.tasks}
        status = jobs.FINISHED
        try:
            for count, (task_id, result) in enumerate(
                self.kept.results(key, survey, accepted.whole), start=1
            ):
                if task_id in done:
                    continue
                if (wish := job.stop_or_pause()) is not None:
                    status = jobs.REQUEUE if wish == "pause" else jobs.STOPPED
                    break
                made = _annotated(label_studio, task_id, result, batch_id)
                if made is None:
                    batch = replace(batch, passed_over=batch.passed_over + 1)
                else:
                    regions = by_id[task_id].regions
                    batch = replace(
                        batch,
                        annotations=(*batch.annotations, (task_id, *made)),
                        regions=batch.regions + len(regions),
                        mistakes=batch.mistakes + sum(1 - lowest[label].precision for label, _ in regions),
                    )
                if count % _NOTED_EVERY == 0:
                    self.kept.note(key, batch)
                job.progress = PredictionProgress(count, len(accepted.whole), len(batch.annotations))
                job.show()
        finally:
            self.kept.note(key, replace(batch, state="accepting" if status == jobs.REQUEUE else "accepted"))
        job.show(at_once=True)
        logger.info("project %s: %d tasks accepted as %s", key, len(batch.annotations), batch_id)
        return JobOutcome(status, job.report, survey.version)

    def _undo(self, job: RunningJob, request: AcceptRequest, label_studio: LabelStudio) -> JobOutcome:
        """Delete the annotations of a batch that nobody has edited since."""
        key = request.project_key
        batch = self.kept.batch(key, request.batch_id)
        if batch is None:
            raise NotFoundError(f"nothing was accepted as {request.batch_id}")
        kept = 0
        for count, (task_id, annotation_id, seen) in enumerate(batch.annotations, start=1):
            if (wish := job.stop_or_pause()) is not None:
                return JobOutcome(jobs.REQUEUE if wish == "pause" else jobs.STOPPED, job.report)
            kept += not _undone(label_studio, task_id, annotation_id, seen)
            job.progress = PredictionProgress(count, len(batch.annotations), count - kept)
            job.show()
        self.kept.note(key, replace(batch, state="undone", kept=kept))
        job.show(at_once=True)
        return JobOutcome(jobs.FINISHED, job.report, batch.version)


def _is_annotated(task: Mapping[str, Any]) -> bool:
    return (
        bool(task.get("annotations")) or bool(task.get("total_annotations")) or bool(task.get("is_labeled"))
    )


def _task_of(
    task_id: int, result: Sequence[Json], config: LabelConfig, number: Mapping[str, int]
) -> SurveyedTask:
    read = read_regions(result, config)
    scores = {str(one.get("id")): float(one.get("score") or 0.0) for one in result}
    regions = [
        (number.get(label, -1), scores[region.region_id])
        for region in read.regions
        if region.kind.draws_objects
        for label in region.labels
    ]
    judged = {region.region_id for region in read.regions if region.kind.draws_objects and region.labels}
    is_judged = set(scores) <= judged and all(label >= 0 for label, _ in regions)
    return SurveyedTask(task_id, tuple(regions), is_judged, tuple(result))


def _annotated(
    label_studio: LabelStudio, task_id: int, result: Sequence[Json], batch_id: str
) -> tuple[int, str] | None:
    """Make an annotation that names its batch in every region; None where the task has another meanwhile."""
    tagged = list(noted(result, batch_id))
    try:
        others = label_studio.annotations(task_id)
        annotation = next((one for one in others if one["result"] == tagged), None)
        if annotation is None and others:
            return None
        annotation = annotation or label_studio.create_annotation(task_id, tagged)
    except LabelStudioGone:
        return None
    return int(annotation["id"]), fingerprint(annotation["result"])


def _undone(label_studio: LabelStudio, task_id: int, annotation_id: int, seen: str) -> bool:
    """Delete an annotation unless somebody edited it; tell whether it is gone."""
    try:
        annotations = {int(one["id"]): one for one in label_studio.annotations(task_id)}
        annotation = annotations.get(annotation_id)
        if annotation is None:
            return True
        if fingerprint(annotation["result"]) != seen:
            return False
        label_studio.delete_annotation(annotation_id)
    except LabelStudioGone:
        pass
    return True
