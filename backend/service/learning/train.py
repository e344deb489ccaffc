"""Training as a use case: ask for one, and run one in a worker."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.errors import (
    BackendError,
    LabelConfigError,
    LabelStudioError,
    NotEnoughData,
    ParameterError,
    QueueError,
    StoreError,
    TrainingStopped,
    VersionError,
)
from backend.nn.detector.backbone_catalog import validate_backbone
from backend.service.jobs import jobs
from backend.service.jobs.jobs import (
    JobOutcome,
    RunningJob,
)
from backend.service.learning.samples import Gathered, gather_samples, labels_digest
from backend.service.ports import Json
from backend.service.predicting.background import request_background_predictions
from backend.service.projects.parameters import threshold_origins, training_params
from backend.service.projects.projects import project_id
from backend.service.services import Services
from backend.service.versions.activation import decide_activation, held_out_tasks
from backend.training.inputs import (
    CHECKPOINT_FILE,
    EpochReport,
    TrainingInputs,
    TrainingOutcome,
    TrainingPaused,
)
from backend.training.parameters import CURRENT, SCRATCH, TrainingParams

logger = logging.getLogger(__name__)

AUTOMATIC = "automatic"
"""The source of a training that nobody pressed a button for."""
COPY_WITHIN_S = 8.0  # of the 20 s in which a worker that is told to leave has to be gone


def request_training(
    services: Services,
    key: str,
    *,
    label_config: str | None,
    params: Mapping[str, Any] | None = None,
    tasks: Sequence[Mapping[str, Any]] | None = None,
    follow_up: bool = False,
    source: str = "request",
) -> str:
    """Queue a training and return its job id.

    tasks: exported tasks; None to fetch them when the training starts. follow_up: for callers that cannot be
    refused (START_TRAINING): nothing is checked here, and while a training runs one more is queued.
    Raises RequestError for what cannot be used, ConflictError while a training of the project is queued or
    running, QueueError, StoreError; nothing stays half-queued.
    """
    params = dict(params or {})
    if not follow_up:
        _check_request(services, key, label_config, params)
    document = {
        "kind": jobs.TRAIN,
        "project_key": key,
        "label_config": label_config,
        "params": params,
        "tasks": None if tasks is None else list(tasks),
        "source": source,
        "requested_at": services.now(),
    }
    path = jobs.write_request(services.documents, document)
    try:
        job_id = services.queue.enqueue_training(key, path, follow_up=follow_up)
    except Exception:
        services.documents.delete(path)
        raise
    services.projects.remember(key, label_config=label_config)
    logger.info("project %s: training is queued as job %s (%s)", key, job_id, source)
    return job_id


def _check_request(services: Services, key: str, label_config: str | None, params: Json) -> None:
    resolved, _ = training_params(services.projects, key, params)
    validate_backbone(resolved.backbone)
    if label_config is not None:
        parse_label_config(label_config)
    if resolved.start_from not in (SCRATCH, CURRENT):
        _start_card(services, key, resolved)


def run_training(services: Services, job: RunningJob) -> JobOutcome:
    """Train as the job's request says, publish the version and decide whether it serves; the worker's half.

    Raises BackendError with the reason why not; whatever served before serves on.
    """
    request = jobs.read_request(services.documents, job.record)
    key = str(request["project_key"])
    published = _published_by(services, key, job)
    if published is not None:
        return JobOutcome(jobs.FINISHED, published, job.details)
    params, origins = training_params(services.projects, key, request["params"])
    params = _resolve_start(services, key, params)
    tasks, xml = _tasks_and_config(services, job, key, request)
    config = parse_label_config(xml)
    origins = threshold_origins(origins, config)
    job.details["params"] = {
        name: {"value": value, "origin": origins[name]} for name, value in params.as_dict().items()
    }
    job.report(at_once=True)
    services.projects.remember(key, label_config=xml)
    digest = labels_digest(tasks, xml)
    if request.get("source") == AUTOMATIC:
        newest = _trained_on(services, key, digest)
        if newest is not None:
            # Events come without a password: whoever sends them may cause this look, not a training.
            job.details["activation_reason"] = f"nothing was trained: version {newest} knows all these labels"
            job.report(at_once=True)
            return JobOutcome(jobs.FINISHED, newest, job.details)

    gathered = gather_samples(services, job, key, config, tasks, params)
    job.details["counts"] = gathered.counts
    job.details["unusable"] = dict(gathered.unusable)
    job.report(at_once=True)
    if not gathered.samples:
        raise NotEnoughData(_nothing_to_learn(gathered, len(tasks)))
    workdir = services.settings.data_dir / "work" / job.job_id
    workdir.mkdir(parents=True, exist_ok=True)
    if services.checkpoints is not None:
        services.checkpoints.fetch(job.job_id, workdir / CHECKPOINT_FILE)
    inputs = TrainingInputs(
        samples=gathered.samples,
        labels=config.labels,
        params=params,
        workdir=workdir,
        device=services.settings.device,
        start_folder=_start_folder(services, key, params, config, job),
        pretrained_path=services.settings.pretrained_path,
    )
    try:
        outcome = services.train(inputs, _Observer(services, job, workdir))
        version = _publish(services, job, key, outcome, inputs, gathered, xml, digest, origins)
    except TrainingPaused:
        logger.info("job %s: paused, to be taken up again", job.job_id)
        if services.checkpoints is not None:
            services.checkpoints.finish(job.job_id, workdir / CHECKPOINT_FILE, COPY_WITHIN_S)
        return JobOutcome(jobs.REQUEUE, details=job.details)
    except TrainingStopped:
        logger.info("job %s: stopped, nothing is kept", job.job_id)
        _clear(services, job, workdir)
        return JobOutcome(jobs.STOPPED, details=job.details)
    except OSError as exc:
        _clear(services, job, workdir)
        raise StoreError(
            f"the training could not write to {workdir.parent}: {exc.strerror or exc}. Make room under "
            "DATA_DIR and start it again; what served before serves on"
        ) from exc
    except BackendError:
        _clear(services, job, workdir)  # the job ends here, and its checkpoint may be what fills the disk
        raise
    _clear(services, job, workdir)
    return JobOutcome(jobs.FINISHED, version, job.details)


def _clear(services: Services, job: RunningJob, workdir: Path) -> None:
    """Remove what only a job that goes on needs."""
    shutil.rmtree(workdir, ignore_errors=True)
    if services.checkpoints is not None:
        services.checkpoints.drop(job.job_id)


def _published_by(services: Services, key: str, job: RunningJob) -> str | None:
    """Return the version that an earlier run of this job published before its worker died, if one did."""
    if not job.details.get("activation_reason"):
        return None
    cards = services.store.list(key)
    return next((str(card["version"]) for card in cards if card.get("job_id") == job.job_id), None)


def _trained_on(services: Services, key: str, digest: str) -> str | None:
    """Return the newest version if it learned from exactly these labels."""
    newest = next(iter(services.store.list(key)), None)
    if newest is None or newest.get("labels_digest") != digest:
        return None
    return str(newest["version"])


def _tasks_and_config(services: Services, job: RunningJob, key: str, request: Json) -> tuple[list[Json], str]:
    """Return the annotated tasks and the labeling config, from the request or else from Label Studio."""
    tasks, xml = request["tasks"], request["label_config"]
    if tasks is None:
        job.progress["step"] = "fetching annotations"
        job.report(at_once=True)
        label_studio = services.label_studio(key)
        project = label_studio.project(project_id(key))
        xml = project.get("label_config") or xml
        tasks = label_studio.export_annotated(project_id(key))
        job.details["labels_taken_at"] = services.now()
    xml = xml or services.projects.connection(key).label_config
    if not xml:
        raise LabelConfigError(
            f"no labeling config is known of project {key}; send label_config with /train",
            field="label_config",
        )
    try:
        services.queue.labels_taken(job.job_id)
    except QueueError as exc:
        logger.warning("job %s: Redis does not know yet that the labels are read: %s", job.job_id, exc)
    return list(tasks), str(xml)


def _nothing_to_learn(gathered: Gathered, task_count: int) -> str:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in gathered.unusable.most_common(5))
    return (
        f"nothing to learn from: {task_count} tasks came, none has a usable annotation and image"
        + (f" ({reasons})" if reasons else "")
        + "; annotate at least one image with the labels of the config"
    )


def _resolve_start(services: Services, key: str, params: TrainingParams) -> TrainingParams:
    """Name the version that "current" means now: scratch where none serves, or none of this backbone."""
    if params.start_from != CURRENT:
        return params
    version = services.versions.current(key)
    if version is None:
        return replace(params, start_from=SCRATCH)
    named = replace(params, start_from=version)
    try:
        _start_card(services, key, named)
    except ParameterError as exc:
        logger.info("project %s: training starts from scratch: %s", key, exc)
        return replace(params, start_from=SCRATCH)
    return named


def _start_card(services: Services, key: str, params: TrainingParams) -> Json:
    try:
        card = services.store.card(key, params.start_from)
    except VersionError as exc:
        raise ParameterError(f"start_from: {exc}", field="start_from") from exc
    backbone = card.get("backbone") or (card.get("params") or {}).get("backbone")
    if backbone != params.backbone:
        raise ParameterError(
            f"start_from: version {params.start_from} has the backbone {backbone}, {params.backbone} was "
            "asked for; take that backbone, or start from scratch",
            field="start_from",
        )
    return card


def _start_folder(
    services: Services, key: str, params: TrainingParams, config: LabelConfig, job: RunningJob
) -> Path | None:
    if params.start_from == SCRATCH:
        return None
    card = _start_card(services, key, params)
    new = [label for label in config.labels if label not in card.get("labels", ())]
    if new:
        job.warn(f"version {params.start_from} does not know {', '.join(new)}; they are learned afresh")
    return services.store.local_folder(key, params.start_from)


class _Observer:
    """Tells the job's record how the training goes."""

    def __init__(self, services: Services, job: RunningJob, workdir: Path) -> None:
        self._checkpoints = services.checkpoints
        self._job = job
        self._workdir = workdir

    def on_epoch(self, report: EpochReport) -> None:
        self._job.progress = {
            "epoch": report.epoch,
            "epochs": report.epochs,
            "loss": report.loss,
            "seconds_left": round(report.seconds_left, 1),
        }
        curve = [point for point in self._job.details.get("curve", []) if point["epoch"] < report.epoch]
        curve.append({"epoch": report.epoch, "loss": report.loss, **report.metrics})
        self._job.details["curve"] = curve
        logger.info(
            "job %s: epoch %d of %d, loss %.4f, %.0f s left",
            self._job.job_id,
            report.epoch,
            report.epochs,
            report.loss,
            report.seconds_left,
        )
        self._job.report()
        if self._checkpoints is not None:
            self._checkpoints.keep(self._job.job_id, self._workdir / CHECKPOINT_FILE)

    def on_warning(self, message: str) -> None:
        self._job.warn(message)

    def stop_requested(self) -> str | None:
        return self._job.stop_or_pause()


def new_version_name(now: float) -> str:
    """Return a name that sorts by time and does not repeat: `20260131-093000-3f2a` (UTC)."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(2)}"


def _publish(
    services: Services,
    job: RunningJob,
    key: str,
    outcome: TrainingOutcome,
    inputs: TrainingInputs,
    gathered: Gathered,
    xml: str,
    digest: str,
    origins: Mapping[str, str],
) -> str:
    version = new_version_name(services.now())
    card = {
        **outcome.card,
        "version": version,
        "project_key": key,
        "job_id": job.job_id,
        "created_at": services.now(),
        "labels": list(inputs.labels),
        "label_config": xml,
        "labels_digest": digest,
        "params": inputs.params.as_dict(),
        "origins": dict(origins),
        "counts": gathered.counts,
        "unusable": dict(gathered.unusable),
        "metrics": outcome.metrics,
        "held_out_tasks": held_out_tasks(inputs.samples),
    }
    for warning in outcome.card.get("warnings", ()):
        job.warn(str(warning))
    card["warnings"] = job.details.get("warnings", [])
    if outcome.stopped_early_by is not None:
        job.details["stopped_by"] = outcome.stopped_early_by
    decision = decide_activation(
        services, key, outcome.folder, inputs.samples, inputs.labels, parse_label_config(xml), inputs.params
    )
    job.details["activated"] = decision.activate
    job.details["activation_reason"] = decision.reason
    job.details["metrics"] = outcome.metrics
    card["activation_reason"] = decision.reason
    if decision.comparison:
        job.details["comparison"] = card["comparison"] = decision.comparison
    job.report(at_once=True)
    job.lease.confirm()
    services.store.publish(key, version, outcome.folder, card, activate=decision.activate)
    services.projects.restore(key)
    services.versions.look_again(key)
    logger.info("project %s: version %s is published; %s", key, version, decision.reason)
    if decision.activate:
        _predict_everything(services, job, key)
    job.report(at_once=True)
    return version


def _predict_everything(services: Services, job: RunningJob, key: str) -> None:
    """Have the whole project predicted if that is switched on, or was done with an older version."""
    wanted = services.projects.settings(key).predict_after_training or services.projects.read(key, "served")
    if not wanted or not services.has_label_studio(key):
        return
    try:
        job.details["prediction_job"] = request_background_predictions(services, key)
    except (LabelStudioError, VersionError, QueueError, StoreError) as exc:
        job.warn(f"the project could not be predicted in the background: {exc}")
