"""From annotated tasks to training samples: images fetched side by side, what cannot be used counted."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from backend.core.answers.kinds import ANSWER_HEADS
from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.points import points_of
from backend.core.labelstudio.annotations import AnnotatedPage, annotated_task, build_target
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.recorded_frame import Fit, can_be_turned_back, fit_of
from backend.core.labelstudio.task_labels import config_of_task, keys_without_labels
from backend.core.versions.card import LearnedCounts
from backend.errors import (
    AddressRefused,
    AnnotationError,
    FetchError,
    ImageDecodeError,
    ImageNotFound,
    ImageTooLarge,
    TrainingStopped,
)
from backend.nn.runtime.memory import LARGE_PICTURE_PIXELS, give_back_freed_memory
from backend.service.engine.pipeline import task_id_of
from backend.service.jobs.jobs import RunningJob
from backend.service.ports import ImageAccess, ImageSource
from backend.service.projects.connections import Connections
from backend.training.inputs import TrainingPaused, TrainingSample
from backend.training.parameters import TrainingParams

logger = logging.getLogger(__name__)

FETCH_THREADS = 8
TRY_AGAIN_AFTER_S = (5.0, 20.0)
_LOOK_UP_S = 0.5  # how often a waiting job looks whether it has to end
_FINAL_ERRORS: dict[type[FetchError], str] = {
    ImageNotFound: "image_not_found",
    ImageTooLarge: "image_too_large",
    ImageDecodeError: "image_not_readable",
    AddressRefused: "image_address_refused",
}
_NAMED_TASKS = 20
_MOST_KEY_CHARS = 40


@dataclass
class Gathered:
    """What came together: samples, how much of what, and what could not be used, by reason.

    disputed_tasks: ids of those on which annotators disagree. unknown: how often what the config does not
    have was named, by reason and name. other_pictures, turned_tasks: ids of those whose regions were drawn on
    a picture of another shape, and on one turned by a quarter. bare_tasks: ids of those with an image none of
    whose regions could be used. stretched: task and range of each picture so stretched.
    """

    samples: list[TrainingSample] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)
    counts: LearnedCounts = field(default_factory=LearnedCounts)
    disputed_tasks: list[int] = field(default_factory=list)
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)
    other_pictures: list[int] = field(default_factory=list)
    turned_tasks: list[int] = field(default_factory=list)
    bare_tasks: list[int] = field(default_factory=list)
    stretched: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    _met: dict[str, dict[int, None]] = field(default_factory=dict)

    def leave_out(self, task_id: int, reasons: Mapping[str, int]) -> None:
        """Count what cannot be used of a task, by reason."""
        self.unusable.update(reasons)
        for reason in reasons:
            self._met.setdefault(reason, {})[task_id] = None

    def tasks_by_reason(self) -> dict[str, tuple[int, ...]]:
        """Return the ids of the tasks in which each reason was met, each once, in order."""
        return {reason: tuple(sorted(ids)) for reason, ids in self._met.items()}


@dataclass(frozen=True)
class _Candidate:
    task_id: int
    annotated: AnnotatedPage
    access: ImageAccess
    page: int


def gather_samples(
    images: ImageSource,
    connections: Connections,
    job: RunningJob,
    key: str,
    config: LabelConfig,
    tasks: Sequence[Any],
    params: TrainingParams,
) -> Gathered:
    """Read annotations and images of the tasks to train on.

    Each image is fetched once here, which also fills the cache that `load_rgb` of the samples reads.
    Raises TrainingPaused or TrainingStopped when the job is asked to end meanwhile.
    """
    gathered = Gathered()
    candidates = list(_candidates(connections, key, config, _chosen(job, tasks, params), gathered))
    targets = _fetch_targets(images, job, config, candidates, gathered)
    _warn_of_images(job, gathered)
    for candidate, target in zip(candidates, targets, strict=True):
        if target is not None:
            load = partial(images.load_rgb, candidate.annotated.page.reference, candidate.access)
            gathered.samples.append(TrainingSample(candidate.task_id, load, target, candidate.page))
    gathered.counts = _count(tasks, gathered.samples, config.labels)
    return gathered


def _chosen(job: RunningJob, tasks: Sequence[Any], params: TrainingParams) -> list[Any]:
    if params.task_ids is None:
        return list(tasks)
    wanted = set(params.task_ids)
    chosen = [task for task in tasks if isinstance(task, Mapping) and task.get("id") in wanted]
    missing = sorted(wanted - {task["id"] for task in chosen})
    if missing:
        named = ", ".join(map(str, missing[:_NAMED_TASKS]))
        job.warn(f"{len(missing)} of the chosen tasks are not among the annotated ones: {named}")
    return chosen


def _candidates(
    connections: Connections, key: str, config: LabelConfig, tasks: Sequence[Any], gathered: Gathered
) -> list[_Candidate]:
    found: list[_Candidate] = []
    for position, task in enumerate(tasks):
        if not isinstance(task, Mapping):
            gathered.unusable["task_malformed"] += 1
            continue
        given_id = task_id_of(task)
        task_id = position if given_id is None else given_id
        if without := keys_without_labels(config, task):
            gathered.leave_out(task_id, {"task_without_labels": len(without)})
            gathered.unknown.update(("task_without_labels", key[:_MOST_KEY_CHARS]) for key in without)
            its_config = config_of_task(config, task)
            if not its_config.labels and not its_config.learned_answers:
                continue
        try:
            annotated = annotated_task(task, config)
        except AnnotationError as exc:
            logger.warning("project %s, task %s teaches nothing: %s", key, task.get("id"), exc)
            gathered.leave_out(task_id, {"task_without_image": 1})
            gathered.unknown.update(("task_without_image", key) for key in _data_keys(task))
            continue
        if annotated is None:
            gathered.leave_out(task_id, {"task_without_annotation": 1})
            continue
        gathered.leave_out(task_id, annotated.unusable)
        gathered.unknown.update(annotated.unknown)
        if annotated.is_disputed:
            gathered.disputed_tasks.append(task_id)
        access = connections.image_access(key, given_id)
        found.extend(_Candidate(task_id, page, access, number) for number, page in enumerate(annotated.pages))
    return found


def _data_keys(task: Mapping[str, Any]) -> list[str]:
    data = task.get("data")
    return [str(key)[:_MOST_KEY_CHARS] for key in data] if isinstance(data, Mapping) else []


def _fetch_targets(
    images: ImageSource,
    job: RunningJob,
    config: LabelConfig,
    candidates: Sequence[_Candidate],
    gathered: Gathered,
) -> list[TrainingTarget | None]:
    targets: list[TrainingTarget | None] = [None] * len(candidates)
    waiting = list(range(len(candidates)))
    # A job that goes on after its worker died keeps showing the epoch it had reached.
    progress = replace(job.training_progress(), step="loading images", images=0, images_total=len(candidates))
    read = 0
    for pause_s in (*TRY_AGAIN_AFTER_S, None):
        again = []
        with ThreadPoolExecutor(FETCH_THREADS, "prefetch") as pool:
            looks = pool.map(partial(_look_at, images), (candidates[index] for index in waiting))
            for index, look in zip(waiting, looks, strict=True):
                _leave_if_asked(job, pool)
                candidate = candidates[index]
                if isinstance(look, _Look):
                    targets[index] = _target(candidate, look, config, gathered)
                    read += 1
                elif pause_s is not None and type(look) not in _FINAL_ERRORS:
                    again.append(index)
                else:
                    reason = _FINAL_ERRORS.get(type(look), "image_not_fetched")
                    gathered.leave_out(candidate.task_id, {reason: 1})
                    logger.warning("task %s teaches nothing: %s", candidate.task_id, look)
                job.progress = replace(progress, images=read)
                job.show()
        if not again or pause_s is None:
            break
        logger.warning("job %s: %d images could not be fetched; trying again", job.job_id, len(again))
        _wait(job, pause_s)
        waiting = again
    job.show(at_once=True)
    return targets


@dataclass(frozen=True)
class _Look:
    """What is known of a page's image: its size, how its regions fit it, and its orientation in EXIF.

    stretched: the range of a 16-bit picture's values that was stretched, None for most.
    """

    size: ImageSize
    fit: Fit
    orientation: int
    stretched: tuple[int, int] | None = None


def _look_at(images: ImageSource, candidate: _Candidate) -> _Look | FetchError:
    page = candidate.annotated
    try:
        # Only the shape is kept: others wait for the room that a large picture takes in memory.
        height, width = images.load_rgb(page.page.reference, candidate.access).shape[:2]
        size = ImageSize(width, height)
        if width * height >= LARGE_PICTURE_PIXELS:
            give_back_freed_memory()
        fits = {fit_of(labelled.region.recorded_size, size) for labelled in page.regions}
        if Fit.TURNED not in fits or Fit.OTHER in fits:
            stretched = images.stretched_range(page.page.reference, candidate.access)
            return _Look(size, Fit.OTHER if Fit.OTHER in fits else Fit.SAME, 1, stretched)
        orientation = images.orientation(page.page.reference, candidate.access)
    except FetchError as exc:
        return exc
    return _Look(size, Fit.TURNED if can_be_turned_back(orientation) else Fit.OTHER, orientation)


def _target(
    candidate: _Candidate, look: _Look, config: LabelConfig, gathered: Gathered
) -> TrainingTarget | None:
    """Return what a page teaches; None where its regions were drawn on another picture, or none is usable.

    Without its regions the page would teach that nothing is there, so it is left out whole.
    """
    if look.fit is Fit.OTHER:
        gathered.leave_out(candidate.task_id, {"size_disagrees": 1})
        gathered.other_pictures.append(candidate.task_id)
        return None
    if look.stretched is not None:
        gathered.stretched.append((candidate.task_id, look.stretched))
    if look.fit is Fit.TURNED:
        gathered.turned_tasks.append(candidate.task_id)
    regions = candidate.annotated.regions
    if not config.controls and not candidate.annotated.extras:
        # Only answers are asked for, and none is given that can be used.
        gathered.leave_out(candidate.task_id, {"no_answer": 1})
        return None
    page_target = build_target(
        regions,
        config.labels,
        look.size,
        orientation=look.orientation,
        extras=candidate.annotated.extras,
    )
    gathered.leave_out(candidate.task_id, page_target.unusable)
    teaches = len(page_target.target) or points_of(page_target.target)
    if candidate.annotated.is_bare or (regions and not teaches):
        gathered.bare_tasks.append(candidate.task_id)
        return None
    return page_target.target


def _warn_of_images(job: RunningJob, gathered: Gathered) -> None:
    if gathered.bare_tasks:
        number = len(gathered.bare_tasks)
        job.warn(
            f"no region usable: {number} {'image is' if number == 1 else 'images are'} left out, because "
            "without regions they would teach that nothing is there "
            f"(tasks {_named(gathered.bare_tasks)}); the reasons are listed, each with what to do"
        )
    if gathered.other_pictures:
        job.warn(
            f"size disagrees: {len(gathered.other_pictures)} images are left out, because their regions were "
            f"drawn on a picture of another shape (tasks {_named(gathered.other_pictures)}); import the "
            "labelled images again, or label these anew"
        )
    if gathered.turned_tasks:
        job.warn(
            f"{len(gathered.turned_tasks)} images lie turned by a quarter to how they were labelled, so "
            f"their regions were turned too (tasks {_named(gathered.turned_tasks)}); look whether they fit"
        )
    if gathered.stretched:
        number, (low, high) = len(gathered.stretched), gathered.stretched[0][1]
        job.warn(
            f"{number} 16-bit {'picture uses' if number == 1 else 'pictures use'} no more than 12 bits and "
            "would be black in a browser, so each is stretched by its own range, such as "
            f"{low} to {high} (tasks {_named([task_id for task_id, _ in gathered.stretched])}); training, "
            "predictions, smart tools and the panel all see them so"
        )


def _named(task_ids: Sequence[int]) -> str:
    ids = sorted(set(task_ids))
    more = f" and {len(ids) - _NAMED_TASKS} more" if len(ids) > _NAMED_TASKS else ""
    return ", ".join(map(str, ids[:_NAMED_TASKS])) + more


def _wait(job: RunningJob, seconds: float) -> None:
    """Wait, but for no longer than until the job is asked to end."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        _leave_if_asked(job)
        time.sleep(min(left_s, _LOOK_UP_S))


def _leave_if_asked(job: RunningJob, pool: ThreadPoolExecutor | None = None) -> None:
    wish = job.stop_or_pause()
    # What an earlier run of the job has learned is to be kept, which takes the images that it learned from.
    if wish is None or (wish == "keep" and job.training_progress().epoch):
        return
    if pool is not None:
        pool.shutdown(wait=False, cancel_futures=True)
    if wish == "pause":
        raise TrainingPaused
    raise TrainingStopped("the training was stopped before it had learned anything")


def _count(tasks: Sequence[Any], samples: Sequence[TrainingSample], labels: Sequence[str]) -> LearnedCounts:
    per_label: Counter[str] = Counter()
    targets = [sample.target for sample in samples]
    for target in targets:
        per_label.update(labels[index] for index in target.label_indices.tolist())
        per_label.update(labels[point.label_index] for point in points_of(target))
    return LearnedCounts(
        tasks=len(tasks),
        images=len(samples),
        images_without_regions=sum(not (len(target) or points_of(target)) for target in targets),
        regions=sum(target.object_count + len(points_of(target)) for target in targets),
        masks=sum(target.masks[row] is not None for target in targets for row in target.first_rows.tolist()),
        answers=sum(len(target.extras.get(head, ())) for target in targets for head in ANSWER_HEADS),
        attributes=sum(
            len(said.taught)
            for target in targets
            for said in (target.attributes_by_row[row] for row in target.first_rows.tolist())
            if said is not None
        ),
        regions_by_label={label: per_label[label] for label in labels},
    )
