"""Predictions that a worker makes and pushes through Label Studio's API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import LabelStudioError, LabelStudioGone
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.pipeline import Pipeline, Work
from backend.service.jobs import jobs
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.requests import JobRequests
from backend.service.ports import Json, LabelStudio
from backend.service.predicting.answer import Rescored
from backend.service.predicting.pace import Pace
from backend.service.predicting.pushing import Pushing
from backend.service.predicting.requests import BackgroundRequest, with_credentials_of_earlier_releases
from backend.service.predicting.shards import Shards
from backend.service.projects.connections import Connections
from backend.service.projects.parameters import thresholds
from backend.service.projects.projects import Projects, project_id

logger = logging.getLogger(__name__)

TASKS_AT_ONCE = 64


@dataclass(frozen=True)
class BackgroundPredictions:
    """Runs the jobs that `backend.service.predicting.requests` queues; the worker's half.

    rescored: for what is pushed. sets_model_version: let Label Studio name the version, once every task of a
    project has its prediction.
    """

    projects: Projects
    connections: Connections
    versions: LoadedVersions
    pipeline: Pipeline
    jobs: JobRequests
    rescored: Rescored
    sets_model_version: bool
    now: Callable[[], float]
    pace: Pace

    def run(self, job: RunningJob) -> JobOutcome:
        """Predict and push what the job's request names.

        Raises LabelStudioError (what was computed is kept, and the job goes on when Label Studio is back),
        VersionError, LabelConfigError.
        """
        request = self._read(job)
        key = request.project_key
        label_studio = self.connections.label_studio(key)
        shards = Shards(self.jobs, job, request, self.pace)
        documents, version = self.jobs.documents, request.version
        pushing = Pushing(documents, job, label_studio, key, version, shards, self.pace, self.now)
        try:
            return self._predict_and_push(job, request, label_studio, pushing, shards)
        except LabelStudioGone:
            raise
        except LabelStudioError as exc:
            wish = job.stop_or_pause()
            if wish not in (None, "pause"):
                return JobOutcome(jobs.STOPPED, job.report)
            if request.shard_of is not None:
                raise  # the job that shared its tasks takes them back
            count = pushing.keep()
            if wish == "pause":
                return JobOutcome(jobs.REQUEUE, job.report)
            raise type(exc)(
                f"{exc} Predictions kept: {count}; the job goes on by itself when Label Studio answers again."
            ) from exc

    def _read(self, job: RunningJob) -> BackgroundRequest:
        """Return the job's request.

        Earlier releases wrote the project's login and password for image hosts into it: these go to the
        project's connection, and out of the document.
        """
        request, credentials = self.jobs.read(job.record, with_credentials_of_earlier_releases)
        if credentials:
            known = self.projects.connection(request.project_key).image_credentials
            self.projects.remember(request.project_key, image_credentials=known or credentials)
            self.jobs.rewrite(job.record, request.as_document())
        return request

    def _predict_and_push(
        self,
        job: RunningJob,
        request: BackgroundRequest,
        label_studio: LabelStudio,
        pushing: Pushing,
        shards: Shards,
    ) -> JobOutcome:
        key = request.project_key
        pushing.push_kept()
        xml = request.label_config or str(label_studio.project(project_id(key))["label_config"])
        config = parse_label_config(xml)
        predictor = self.versions.predictor_named(key, request.version, config)
        limits = thresholds(self.projects, key, request.params, config)
        work = Work(key, config, (), limits, lambda task_id: self.connections.image_access(key, task_id))
        tasks = shards.split(pushing.unpredicted(_tasks_of(request, label_studio)), xml)
        while tasks:
            for start in range(0, len(tasks), TASKS_AT_ONCE):
                chunk = tasks[start : start + TASKS_AT_ONCE]
                chunk_work = replace(work, tasks=chunk)
                for answered in self.pipeline.run(chunk_work, predictor, on_tiles=pushing.count_tiles):
                    task_id, prediction = chunk[answered.position]["id"], answered.prediction
                    if prediction is not None:
                        prediction = self.rescored(key, task_id, prediction)
                    pushing.take(task_id, prediction)
                    if job.stop_or_pause() is not None:
                        break
                if job.stop_or_pause() is not None:
                    break
            pushing.push()
            tasks = pushing.still_unpredicted(shards.next(lambda: pushing.show(at_once=True)))
        if (wish := job.stop_or_pause()) is not None:
            shards.stop()
            return JobOutcome(
                jobs.REQUEUE if wish == "pause" else jobs.STOPPED, job.report, predictor.version
            )
        pushing.show(at_once=True)
        if request.is_whole_project and not pushing.failed_count and self.sets_model_version:
            self._serve_everywhere(label_studio, key, predictor)
            job.report = replace(job.report, set_model_version=predictor.version)
        job.show(at_once=True)
        return JobOutcome(jobs.FINISHED, job.report, predictor.version)

    def _serve_everywhere(self, label_studio: LabelStudio, key: str, predictor: ImagePredictor) -> None:
        """Let Label Studio show scores and sample by this version, now that every task has its prediction."""
        if self.versions.serving(key) != predictor.version:
            return  # another version was activated meanwhile; its own job will do this
        label_studio.set_model_version(project_id(key), predictor.version)
        self.projects.note_served(key, predictor.version)
        logger.info("project %s: Label Studio's model version is now %s", key, predictor.version)


def _tasks_of(request: BackgroundRequest, label_studio: LabelStudio) -> Iterable[Json]:
    if request.tasks is not None:
        return list(request.tasks)
    tasks = label_studio.iterate_tasks(project_id(request.project_key))
    if request.task_ids is None:
        return tasks
    chosen = set(request.task_ids)
    return (task for task in tasks if task["id"] in chosen)
