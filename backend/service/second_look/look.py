"""A second look at the annotations of a project, as a job."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backend.core.geometry.instances import Detections, FloatArray
from backend.core.labelstudio.annotators import choose_annotation
from backend.core.labelstudio.corrections import (
    Correction,
    fingerprint,
    one_detection,
    region_results,
    with_geometry_of,
    with_label,
    with_relations,
)
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.own_writes import SECOND_LOOK, noted
from backend.core.labelstudio.task_labels import config_of_tasks
from backend.core.labelstudio.task_pages import TaskPage, task_pages
from backend.core.second_look.folds import FOLDS, folds_of
from backend.core.second_look.kinds import SuspicionKind
from backend.core.second_look.suspicions import Compared, Suspicion, suspect
from backend.core.versions.card import VersionCard
from backend.errors import NotEnoughData, RequestError, TrainingStopped
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.work_items import DetectionLimits
from backend.service.jobs import jobs
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.requests import JobRequests
from backend.service.learning.samples import gather_samples
from backend.service.learning.train import Learning
from backend.service.ports import ImageSource, Json, LabelStudio
from backend.service.projects.connections import Connections
from backend.service.projects.parameters import training_params
from backend.service.projects.projects import Projects, project_id
from backend.service.second_look.asked import found_in
from backend.service.second_look.findings import (
    MOST_FINDINGS,
    Finding,
    KeptFindings,
    Look,
    finding_id,
)
from backend.service.second_look.masks_aside import MasksAside
from backend.service.second_look.requests import ALL, LookRequest
from backend.service.versions.models import Models
from backend.service.versions.unseen import unseen_tasks
from backend.training.inputs import (
    EpochReport,
    TrainingInputs,
    TrainingPaused,
    TrainingProgress,
    TrainingSample,
)
from backend.training.parameters import SCRATCH, TrainingParams
from backend.training.recipe import RECIPE

logger = logging.getLogger(__name__)

LIMITS = DetectionLimits(0.01, 0.4, with_masks=True, max_regions=300)
"""Detections from a low score up tell something of an annotation."""
PUSHED_FROM = 0.5
"""Findings from this probability up are stored as predictions."""
_TASKS_PER_PUSH = 100


@dataclass(frozen=True)
class SecondLooks:
    """Takes the second looks that `backend.service.second_look.requests` queues; the worker's half.

    now: seconds since the epoch.
    """

    projects: Projects
    connections: Connections
    models: Models
    jobs: JobRequests
    images: ImageSource
    batching: BatchingQueue
    learning: Learning
    kept: KeptFindings
    now: Callable[[], float] = time.time

    def run(self, job: RunningJob) -> JobOutcome:
        """Compare annotations with what versions say that did not learn from them, and keep the findings.

        Raises BackendError with the reason why not; the findings of the look before stay.
        """
        request = self.jobs.read(job.record, LookRequest.from_document)
        key = request.project_key
        workdir = self.learning.work_dir / job.job_id
        aside = MasksAside(workdir / "found")
        # An earlier run of the job may have met other images under these numbers.
        shutil.rmtree(aside.folder, ignore_errors=True)
        _show(job, "fetching annotations", 0.0)
        label_studio = self.connections.label_studio(key)
        xml = str(label_studio.project(project_id(key))["label_config"])
        tasks = label_studio.export_annotated(project_id(key))
        config = config_of_tasks(parse_label_config(xml), tasks)
        params, _ = training_params(self.projects, key, {})
        try:
            if request.images == ALL:
                everything = replace(params, task_ids=None, start_from=SCRATCH)
                gathered = gather_samples(self.images, self.connections, job, key, config, tasks, everything)
                found = self._cross_fitted(job, workdir, gathered.samples, config, everything)
                version = None
            else:
                version = self.models.loaded.current(key)
                if version is None:
                    raise NotEnoughData(f"project {key} has no trained model yet that could look")
                card = self.models.store.card(key, version)
                unseen = unseen_tasks(self.models.store, key, card, tasks)
                if not unseen:
                    raise NotEnoughData(_all_learned(card))
                chosen = replace(params, task_ids=tuple(sorted(unseen)))
                gathered = gather_samples(self.images, self.connections, job, key, config, tasks, chosen)
                predictor = self.models.loaded.predictor(key, version)
                assert predictor is not None
                found = found_in(job, self.batching, predictor, gathered.samples, config, LIMITS)
            seen = list(aside.put(found))
        except TrainingPaused:
            return JobOutcome(jobs.REQUEUE, job.report)
        except TrainingStopped:
            shutil.rmtree(workdir, ignore_errors=True)
            return JobOutcome(jobs.STOPPED, job.report)
        _show(job, "comparing", 1.0)
        by_id = {task["id"]: task for task in tasks if "id" in task}
        findings = _findings(seen, aside, by_id, config)
        open_ones = self.kept.without_dismissed(key, findings)
        look = Look(
            self.now(),
            version,
            len(seen),
            tuple(open_ones[:MOST_FINDINGS]),
            max(0, len(open_ones) - MOST_FINDINGS),
        )
        self.kept.keep(key, look)
        if request.pushes:
            _push(label_studio, project_id(key), look.findings, by_id)
        shutil.rmtree(workdir, ignore_errors=True)
        job.report = replace(job.report, findings=len(open_ones), images_compared=len(seen))
        job.show(at_once=True)
        logger.info("project %s: %d findings in %d images", key, len(open_ones), len(seen))
        return JobOutcome(jobs.FINISHED, job.report, version)

    def _cross_fitted(
        self,
        job: RunningJob,
        workdir: Path,
        samples: Sequence[TrainingSample],
        config: LabelConfig,
        params: TrainingParams,
    ) -> Iterator[tuple[TrainingSample, Detections]]:
        """Train on two thirds of the tasks three times over, and yield what each says of the third one."""
        folds = folds_of([sample.task_id for sample in samples])
        if len(set(folds)) < FOLDS:
            raise NotEnoughData(
                f"too few tasks are annotated for versions that learn from some and look at the others; "
                f"annotate at least {FOLDS}"
            )
        for fold in range(FOLDS):
            asked = [sample for sample, its in zip(samples, folds, strict=True) if its == fold]
            learned = [sample for sample, its in zip(samples, folds, strict=True) if its != fold]
            inputs = TrainingInputs(
                samples=learned,
                labels=config.labels,
                asked=config.asked,
                params=params,
                workdir=workdir / f"fold-{fold + 1}",
                device=self.learning.device,
                pretrained_path=self.learning.pretrained_path,
                # Nobody will point at anything with these versions.
                recipe=replace(RECIPE, tuning_share=0.0, tuning_seconds_min=0.0),
            )
            outcome = self.learning.train(inputs, _FoldObserver(job, fold))
            predictor = self.models.loaded.load_folder(outcome.folder)
            yield from found_in(job, self.batching, predictor, asked, config, LIMITS)


class _FoldObserver:
    """Shows how a training among three goes, and passes on who wants the job to end."""

    def __init__(self, job: RunningJob, fold: int) -> None:
        self._job = job
        self._fold = fold

    def on_tiles(self, reason: str) -> None:
        """Take nothing: the training of a version says it."""

    def on_progress(self, progress: TrainingProgress) -> None:
        _show(self._job, f"training {self._fold + 1} of {FOLDS}", (self._fold + progress.fraction) / FOLDS)

    def on_epoch(self, report: EpochReport) -> None:
        """Take nothing: the progress says enough."""

    def on_warning(self, message: str) -> None:
        self._job.warn(message)

    def stop_requested(self) -> str | None:
        wish = self._job.stop_or_pause()
        return "discard" if wish == "keep" else wish


def _show(job: RunningJob, step: str, fraction: float) -> None:
    job.progress = replace(job.training_progress(), step=step, fraction=round(fraction, 4))
    job.show()


def _all_learned(card: VersionCard) -> str:
    return (
        f"version {card.version} learned from every annotated image, so it would only repeat what it was "
        "told; look at all images with versions trained for it, or annotate more"
    )


def _findings(
    seen: Sequence[tuple[TrainingSample, Detections]],
    aside: MasksAside,
    by_id: Mapping[Any, Json],
    config: LabelConfig,
) -> list[Finding]:
    """Return the suspicions about all images, with what each would change, the likeliest first."""
    suspicions = suspect([Compared(sample.target, found) for sample, found in seen], len(config.labels))
    findings: dict[str, Finding] = {}
    for suspicion in suspicions:
        sample, found = seen[suspicion.picture]
        if suspicion.found_index is not None:
            found = aside.back(suspicion.picture, found, suspicion.found_index)
        finding = _finding(suspicion, sample, found, by_id[sample.task_id], config)
        if finding is not None:
            findings.setdefault(finding.finding_id, finding)
    return list(findings.values())


def _finding(
    suspicion: Suspicion, sample: TrainingSample, found: Detections, task: Json, config: LabelConfig
) -> Finding | None:
    annotation, page = choose_annotation(task), _page_of(task, sample, config)
    if annotation is None or annotation.get("id") is None or page is None:
        return None
    result: list[Json] = list(annotation["result"])
    index, row = suspicion.found_index, suspicion.target_row
    region_id = None if row is None else sample.target.region_ids[row]
    proposed: list[Json] = []
    if index is not None:
        proposed = one_detection(found, index, config.labels, config, page, seed=index)
    box = found.boxes_xyxy_px[index] if row is None else sample.target.boxes_xyxy_px[row]
    bounds = _shares(box, sample)
    place = region_id or f"{suspicion.label_index} {' '.join(f'{value:.2f}' for value in bounds)}"
    return Finding(
        finding_id(sample.task_id, sample.page, suspicion.kind, place),
        sample.task_id,
        sample.page,
        suspicion.kind,
        round(suspicion.probability, 4),
        int(annotation["id"]),
        region_id,
        () if row is None else _labels_of(sample, row, config),
        None if suspicion.label_index is None else config.labels[suspicion.label_index],
        bounds,
        () if region_id is None else region_results(result, region_id),
        tuple(proposed),
        _correction(suspicion, sample, result, region_id, proposed, config),
        fingerprint(result),
    )


def _correction(
    suspicion: Suspicion,
    sample: TrainingSample,
    result: Sequence[Json],
    region_id: str | None,
    proposed: Sequence[Json],
    config: LabelConfig,
) -> Correction | None:
    """Return what would settle a suspicion; None where it is unclear which results would have to change."""
    if suspicion.kind is SuspicionKind.MISSING_OBJECT:
        return Correction((), noted(proposed, SECOND_LOOK)) if proposed else None
    if not region_id or _objects_named(sample, region_id) != 1:
        return None
    if suspicion.kind in (SuspicionKind.OBJECT_TOO_MANY, SuspicionKind.DRAWN_TWICE):
        return Correction(with_relations(result, region_id), ())
    region = region_results(result, region_id)
    if suspicion.kind is SuspicionKind.OTHER_LABEL:
        assert suspicion.label_index is not None
        changed = with_label(
            region, config.labels[suspicion.label_index], config, noted(proposed, SECOND_LOOK)
        )
    else:
        placed = with_geometry_of(region, proposed)
        if placed is None:
            return None
        changed = placed
    return Correction(region, changed) if changed != region else None


def _page_of(task: Json, sample: TrainingSample, config: LabelConfig) -> TaskPage | None:
    try:
        return task_pages(task, config)[sample.page]
    except (RequestError, IndexError):
        return None


def _objects_named(sample: TrainingSample, region_id: str) -> int:
    target = sample.target
    return sum(target.region_ids[row] == region_id for row in target.first_rows.tolist())


def _labels_of(sample: TrainingSample, row: int, config: LabelConfig) -> tuple[str, ...]:
    target = sample.target
    its = target.object_of_row == target.object_of_row[row]
    return tuple(config.labels[index] for index in target.label_indices[its].tolist())


def _shares(box_xyxy_px: FloatArray, sample: TrainingSample) -> tuple[float, float, float, float]:
    size = sample.target.size
    x1, y1, x2, y2 = (float(value) for value in box_xyxy_px)
    return (
        round(x1 / size.width, 5),
        round(y1 / size.height, 5),
        round(x2 / size.width, 5),
        round(y2 / size.height, 5),
    )


def _push(
    label_studio: LabelStudio, project: int, findings: Sequence[Finding], by_id: Mapping[Any, Json]
) -> None:
    """Store annotations as they would be without what is likely wrong, as predictions of a version.

    The score of a prediction is that of an annotation that is right, so the worst come first where Label
    Studio sorts by it.
    """
    by_task: dict[int, list[Finding]] = {}
    for finding in findings:
        if finding.probability >= PUSHED_FROM and finding.correction is not None:
            by_task.setdefault(finding.task_id, []).append(finding)
    predictions = []
    for task_id in label_studio.predicted_task_ids(project, SECOND_LOOK):
        stored = label_studio.predictions(task_id)
        label_studio.delete_predictions(
            int(one["id"]) for one in stored if one.get("model_version") == SECOND_LOOK
        )
    for task_id, its in by_task.items():
        annotation = choose_annotation(by_id[task_id])
        assert annotation is not None
        result = list(annotation["result"])
        for finding in its:
            assert finding.correction is not None
            result = finding.correction.applied(result) or result
        predictions.append(
            {
                "task": task_id,
                "result": result,
                "score": round(1 - max(finding.probability for finding in its), 4),
                "model_version": SECOND_LOOK,
            }
        )
    for start in range(0, len(predictions), _TASKS_PER_PUSH):
        label_studio.import_predictions(project, predictions[start : start + _TASKS_PER_PUSH])
