"""Training as a job: read the labels, learn, publish the version, decide whether it serves."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.core.labelstudio.exports import task_of
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.labels_digest import labels_digest
from backend.core.labelstudio.left_alone import in_words
from backend.core.labelstudio.task_labels import config_of_tasks
from backend.core.text.lines import LineHabit
from backend.core.versions.names import version_name
from backend.errors import (
    BackendError,
    LabelConfigError,
    LabelStudioError,
    NotEnoughData,
    QueueError,
    StoreError,
    TrainingStopped,
    VersionError,
)
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.jobs import jobs
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.left_out import locate_left_out, nothing_to_learn
from backend.service.jobs.report import CurvePoint, UsedParameter
from backend.service.jobs.requests import JobRequests
from backend.service.label_next.requests import RankRequests
from backend.service.learning.heads import check_teaches, without_boxes
from backend.service.learning.line_habit import learn_line_habit
from backend.service.learning.requests import AUTOMATIC, TrainRequest
from backend.service.learning.samples import Gathered, gather_samples
from backend.service.learning.start import known_tasks, resolve_start, start_folder
from backend.service.ports import CheckpointStore, ImageSource, Json, VersionStore
from backend.service.predicting.requests import BackgroundRequests
from backend.service.projects.connections import Connections
from backend.service.projects.parameters import threshold_origins, training_params
from backend.service.projects.projects import Projects, project_id
from backend.service.text.reading import TextReading
from backend.service.versions.activation import decide_activation
from backend.service.versions.models import Models
from backend.training.inputs import (
    CHECKPOINT_FILE,
    EpochReport,
    TrainingInputs,
    TrainingObserver,
    TrainingOutcome,
    TrainingPaused,
    TrainingProgress,
)

logger = logging.getLogger(__name__)

MOST_DISPUTED_NAMED = 50
COPY_WITHIN_S = 8.0  # of the 20 s in which a worker that is told to leave has to be gone

Train = Callable[[TrainingInputs, TrainingObserver], TrainingOutcome]
NoteAnnotations = Callable[[str, Sequence[Json], LabelConfig], None]
"""Takes a project's key, all its annotated tasks and its labeling config; may raise BackendError."""


@dataclass(frozen=True)
class Learning:
    """The learning code and where it works.

    train: imports the network when it is first called. work_dir: one folder per running job. device: as the
    settings name it, `auto` included. checkpoints: None where the worker's own disk is all there is.
    """

    train: Train
    work_dir: Path
    device: str
    pretrained_path: Path | None = None
    checkpoints: CheckpointStore | None = None


@dataclass(frozen=True)
class Trainings:
    """Runs the jobs that `backend.service.learning.requests` queues; the worker's half.

    text: finds lines of text in labelled images. note_in_ledger: what annotators did with the predictions so
    far. now: seconds since the epoch.
    """

    projects: Projects
    connections: Connections
    models: Models
    jobs: JobRequests
    images: ImageSource
    batching: BatchingQueue
    learning: Learning
    background: BackgroundRequests
    rankings: RankRequests
    text: TextReading
    note_in_ledger: NoteAnnotations
    now: Callable[[], float] = time.time

    def run(self, job: RunningJob) -> JobOutcome:
        """Train as the job's request says, publish the version and decide whether it serves.

        Raises BackendError with the reason why not; whatever served before serves on.
        """
        request = self.jobs.read(job.record, TrainRequest.from_document)
        key = request.project_key
        published = _published_by(self.models.store, key, job)
        if published is not None:
            return JobOutcome(jobs.FINISHED, job.report, published)
        params, origins = training_params(self.projects, key, request.params)
        params = resolve_start(self.models, key, params)
        tasks, xml = self._tasks_and_config(job, request)
        config = config_of_tasks(parse_label_config(xml), tasks)
        check_teaches(config, params)
        origins = threshold_origins(origins, config)
        used = {name: UsedParameter(value, origins[name]) for name, value in params.as_dict().items()}
        job.report = replace(job.report, params=used, left_alone=config.left_alone)
        job.show(at_once=True)
        if said := in_words(config.left_alone):
            logger.warning("project %s: not learned, or not all of it: %s", key, said)
        self.projects.remember(key, label_config=xml)
        digest = labels_digest(tasks, xml)
        if request.source == AUTOMATIC:
            newest = _trained_on(self.models.store, key, digest)
            if newest is not None:
                # Events come without a password: whoever sends them may cause this look, not a training.
                reason = f"nothing was trained: version {newest} knows all these labels"
                job.report = replace(job.report, activation_reason=reason)
                job.show(at_once=True)
                return JobOutcome(jobs.FINISHED, job.report, newest)

        workdir = self.learning.work_dir / job.job_id
        try:
            gathered = gather_samples(self.images, self.connections, job, key, config, tasks, params)
        except TrainingPaused:
            return JobOutcome(jobs.REQUEUE, job.report)
        except TrainingStopped:
            self._clear(job, workdir)  # a run before, whose worker died, may have left something
            return JobOutcome(jobs.STOPPED, job.report)
        where = locate_left_out(gathered.tasks_by_reason(), gathered.unknown, config)
        job.report = replace(
            job.report,
            counts=gathered.counts,
            unusable=dict(gathered.unusable),
            left_out_where=where,
            disputed_tasks=tuple(gathered.disputed_tasks[:MOST_DISPUTED_NAMED]),
            disputed_tasks_count=len(gathered.disputed_tasks),
        )
        job.show(at_once=True)
        if not gathered.counts.regions and not gathered.counts.answers:
            raise NotEnoughData(nothing_to_learn(gathered.unusable, gathered.unknown, config, len(tasks)))
        left_out = without_boxes(config, params, gathered.samples)
        if left_out is not None:
            job.warn(left_out)
        workdir.mkdir(parents=True, exist_ok=True)
        if self.learning.checkpoints is not None:
            self.learning.checkpoints.fetch(job.job_id, workdir / CHECKPOINT_FILE)
        inputs = TrainingInputs(
            samples=gathered.samples,
            labels=config.labels,
            asked=config.asked,
            params=params,
            workdir=workdir,
            device=self.learning.device,
            start_folder=start_folder(self.models.store, key, params, config, job),
            pretrained_path=self.learning.pretrained_path,
            known_tasks=known_tasks(self.models.store, key, params, tasks, gathered.samples),
        )
        try:
            outcome = self.learning.train(inputs, _Observer(self.learning.checkpoints, job, workdir))
            if request.tasks is None:
                self._count_what_was_saved(key, tasks, config)
            version = self._publish(job, key, outcome, inputs, gathered, tasks, xml, digest, origins)
        except TrainingPaused:
            logger.info("job %s: paused, to be taken up again", job.job_id)
            if self.learning.checkpoints is not None:
                self.learning.checkpoints.finish(job.job_id, workdir / CHECKPOINT_FILE, COPY_WITHIN_S)
            return JobOutcome(jobs.REQUEUE, job.report)
        except TrainingStopped:
            logger.info("job %s: stopped, nothing is kept", job.job_id)
            self._clear(job, workdir)
            return JobOutcome(jobs.STOPPED, job.report)
        except OSError as exc:
            self._clear(job, workdir)
            raise StoreError(
                f"the training could not write to {workdir.parent}: {exc.strerror or exc}. Make room under "
                "DATA_DIR and start it again; what served before serves on"
            ) from exc
        except BackendError:
            self._clear(job, workdir)  # the job ends here, and its checkpoint may be what fills the disk
            raise
        self._clear(job, workdir)
        return JobOutcome(jobs.FINISHED, job.report, version)

    def _clear(self, job: RunningJob, workdir: Path) -> None:
        """Remove what only a job that goes on needs."""
        shutil.rmtree(workdir, ignore_errors=True)
        if self.learning.checkpoints is not None:
            self.learning.checkpoints.drop(job.job_id)

    def _tasks_and_config(self, job: RunningJob, request: TrainRequest) -> tuple[list[Json], str]:
        """Return the annotated tasks and the labeling config, from the request or else from Label Studio."""
        key, xml = request.project_key, request.label_config
        if request.tasks is not None:
            tasks = list(request.tasks)
        else:
            job.progress = replace(job.training_progress(), step="fetching annotations")
            job.show(at_once=True)
            label_studio = self.connections.label_studio(key)
            project = label_studio.project(project_id(key))
            xml = project.get("label_config") or xml
            tasks = label_studio.export_annotated(project_id(key))
            job.report = replace(job.report, labels_taken_at=self.now())
        xml = xml or self.projects.connection(key).label_config
        if not xml:
            raise LabelConfigError(
                f"no labeling config is known of project {key}; send label_config with /train",
                field="label_config",
            )
        try:
            self.jobs.queue.labels_taken(job.job_id)
        except QueueError as exc:
            logger.warning("job %s: Redis does not know yet that the labels are read: %s", job.job_id, exc)
        return [task_of(task) if isinstance(task, Mapping) else task for task in tasks], str(xml)

    def _publish(
        self,
        job: RunningJob,
        key: str,
        outcome: TrainingOutcome,
        inputs: TrainingInputs,
        gathered: Gathered,
        tasks: Sequence[Json],
        xml: str,
        digest: str,
        origins: Mapping[str, str],
    ) -> str:
        version = version_name(self.now(), secrets.token_hex(2))
        card = outcome.card
        config = parse_label_config(xml)
        for warning in card.warnings:
            job.warn(warning)
        decision = decide_activation(
            self.models,
            self.batching,
            key,
            outcome.folder,
            inputs.samples,
            inputs.labels,
            config,
            inputs.params,
            held_out=card.held_out_tasks,
            tasks=tasks,
            takes_newest=self.projects.settings(key).activation == "newest",
        )
        job.report = replace(
            job.report,
            stopped_by=outcome.stopped_early_by,
            metrics=outcome.metrics,
            activated=decision.activate,
            activation_reason=decision.reason,
            comparison=decision.comparison,
        )
        card = replace(
            card,
            version=version,
            project_key=key,
            job_id=job.job_id,
            created_at=self.now(),
            labels=inputs.labels,
            label_config=xml,
            labels_digest=digest,
            params=inputs.params.as_dict(),
            origins=origins,
            counts=gathered.counts,
            unusable=gathered.unusable,
            metrics=outcome.metrics,
            warnings=job.report.warnings,
            activation_reason=decision.reason,
            comparison=decision.comparison,
            line_habit=self._line_habit(config, inputs),
        )
        job.show(at_once=True)
        job.lease.confirm()
        self.models.store.publish(key, version, outcome.folder, card, activate=decision.activate)
        self.projects.restore(key)
        self.models.loaded.announce(key)
        logger.info("project %s: version %s is published; %s", key, version, decision.reason)
        if decision.activate:
            self._predict_everything(job, key)
            self._rank_the_rest(job, key)
        job.show(at_once=True)
        return version

    def _line_habit(self, config: LabelConfig, inputs: TrainingInputs) -> LineHabit | None:
        """Return how lines of text are drawn, where a project wants their text and it can be read."""
        if not config.wants_text or self.text.state.engine is None:
            return None
        return learn_line_habit(self.text, inputs.samples, inputs.labels)

    def _count_what_was_saved(self, key: str, tasks: Sequence[Json], config: LabelConfig) -> None:
        """Note what became of predictions, before those of the new version take their place."""
        try:
            self.note_in_ledger(key, tasks, config)
        except BackendError as exc:
            logger.warning("project %s: what predictions saved is not counted: %s", key, exc)

    def _predict_everything(self, job: RunningJob, key: str) -> None:
        """Have the whole project predicted if that is switched on, or was done with an older version."""
        wanted = self.projects.settings(key).predict_after_training or self.projects.served(key)
        if not wanted or not self.connections.is_complete(key):
            return
        try:
            job.report = replace(job.report, prediction_job=self.background.predict_project(key))
        except (LabelStudioError, VersionError, QueueError, StoreError) as exc:
            job.warn(f"the project could not be predicted in the background: {exc}")

    def _rank_the_rest(self, job: RunningJob, key: str) -> None:
        """Have the unlabelled pictures ranked anew, by what the version doubts now."""
        if not self.connections.is_complete(key):
            return
        try:
            self.rankings.request(key)
        except (QueueError, StoreError) as exc:
            job.warn(f"what is best labelled next could not be worked out anew: {exc}")


def _published_by(store: VersionStore, key: str, job: RunningJob) -> str | None:
    """Return the version that an earlier run of this job published before its worker died, if one did."""
    if job.report.activation_reason is None:
        return None
    cards = (listed.card for listed in store.list(key))
    return next((card.version for card in cards if card.job_id == job.job_id), None)


def _trained_on(store: VersionStore, key: str, digest: str) -> str | None:
    """Return the newest version if it learned from exactly these labels."""
    newest = next((listed.card for listed in store.list(key)), None)
    return newest.version if newest is not None and newest.labels_digest == digest else None


class _Observer:
    """Tells the job's record how the training goes."""

    def __init__(self, checkpoints: CheckpointStore | None, job: RunningJob, workdir: Path) -> None:
        self._checkpoints = checkpoints
        self._job = job
        self._workdir = workdir

    def on_tiles(self, reason: str) -> None:
        self._job.report = replace(self._job.report, tiles=reason)
        self._job.show(at_once=True)

    def on_progress(self, progress: TrainingProgress) -> None:
        left = progress.seconds_left
        self._job.progress = replace(
            self._job.training_progress(),
            step=progress.stage.value,
            fraction=round(progress.fraction, 4),
            seconds_left=None if left is None else round(left, 1),
        )
        self._job.show()

    def on_epoch(self, report: EpochReport) -> None:
        self._job.progress = replace(
            self._job.training_progress(),
            epoch=report.epoch,
            epochs=report.epochs,
            loss=report.loss,
            seconds_left=round(report.seconds_left, 1),
        )
        before = (point for point in self._job.report.curve if point.epoch < report.epoch)
        reached = CurvePoint(report.epoch, report.loss, report.metrics)
        self._job.report = replace(self._job.report, curve=(*before, reached))
        logger.info(
            "job %s: epoch %d of %d, loss %.4f, %.0f s left",
            self._job.job_id,
            report.epoch,
            report.epochs,
            report.loss,
            report.seconds_left,
        )
        # At once: whoever takes the job over from this checkpoint goes on with the next epoch's point.
        self._job.show(at_once=True)
        if self._checkpoints is not None:
            self._checkpoints.keep(self._job.job_id, self._workdir / CHECKPOINT_FILE)

    def on_warning(self, message: str) -> None:
        self._job.warn(message)

    def stop_requested(self) -> str | None:
        return self._job.stop_or_pause()
