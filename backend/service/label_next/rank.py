"""Which unlabelled pictures of a project are worth labelling first, as a job."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from backend.core.geometry.instances import Detections, FloatArray
from backend.core.label_next.doubt import LEAST_SCORE, LabelWeights
from backend.core.label_next.usefulness import rank_pictures
from backend.core.labelstudio.label_config import LabelConfig, parse_label_config
from backend.core.labelstudio.task_pages import task_pages
from backend.errors import (
    AddressRefused,
    BackendError,
    HostAway,
    ImageDecodeError,
    ImageNotFound,
    ImageTooLarge,
    NotReadyError,
    RequestError,
    VersionError,
)
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.work_items import DetectionLimits, RgbImage
from backend.service.jobs import jobs
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.requests import JobRequests
from backend.service.label_next.pictures import Embedded, KeptPictures, PictureEmbedder, digest_of
from backend.service.label_next.ranking import KeptRankings, Ranking
from backend.service.label_next.requests import RankRequest
from backend.service.label_next.scores import PredictionScores
from backend.service.ports import ImageSource, Json, LabelStudio, VersionStore
from backend.service.projects.connections import Connections
from backend.service.projects.projects import project_id

logger = logging.getLogger(__name__)

AT_ONCE = 32
KEEP_EVERY = 16 * AT_ONCE
FETCH_THREADS = 8
_UNREAD: Mapping[type[BackendError], str] = {
    ImageNotFound: "the image was not found",
    ImageTooLarge: "the image is over the limit of bytes or pixels",
    ImageDecodeError: "the image cannot be read",
    HostAway: "the image's host does not answer",
    AddressRefused: "the image's address is refused",
}
_LIMITS = DetectionLimits(LEAST_SCORE, 0.4, with_masks=False, max_regions=300)


@dataclass(frozen=True)
class _Picture:
    """The first image of a task."""

    task_id: int
    reference: str
    is_labelled: bool


@dataclass(frozen=True)
class _Seen:
    """What was found out about a picture; found: None where no version was asked."""

    row: FloatArray
    found: Detections | None


@dataclass(frozen=True)
class Rankings:
    """Runs the jobs that `backend.service.label_next.requests` queues; the worker's half.

    now: seconds since the epoch.
    """

    connections: Connections
    versions: LoadedVersions
    store: VersionStore
    jobs: JobRequests
    images: ImageSource
    batching: BatchingQueue
    embedder: PictureEmbedder
    pictures: KeptPictures
    rankings: KeptRankings
    scores: PredictionScores
    now: Callable[[], float] = time.time

    def run(self, job: RunningJob) -> JobOutcome:
        """Rank a project's unlabelled tasks, keep the ranking, and let stored predictions carry it if wanted.

        Raises BackendError with the reason why not; the ranking before stays. A job that goes on after a
        pause looks at no picture twice for what it looks like.
        """
        request = self.jobs.read(job.record, RankRequest.from_document)
        key = request.project_key
        label_studio = self.connections.label_studio(key)
        version = self.versions.serving(key)
        ranking = self.rankings.last(key)
        if ranking is None or not request.scores_only:
            ranking = self._rank(job, key, label_studio, version)
            if ranking is None:
                return _ended_early(job)
            self.rankings.keep(key, ranking)
        _show(job, "writing scores", 1.0)
        self.scores.bring_in_line(key, label_studio, ranking, version, lambda: job.stop_or_pause() is None)
        if job.stop_or_pause() is not None:
            return _ended_early(job)
        job.report = replace(job.report, pictures_ranked=len(ranking.tasks))
        job.show(at_once=True)
        logger.info("project %s: %d unlabelled pictures are ranked", key, len(ranking.tasks))
        return JobOutcome(jobs.FINISHED, job.report, version)

    def _rank(
        self, job: RunningJob, key: str, label_studio: LabelStudio, version: str | None
    ) -> Ranking | None:
        """Return the ranking, None where the job is to end."""
        config = parse_label_config(str(label_studio.project(project_id(key))["label_config"]))
        predictor = self._predictor(job, key, config)
        listed, left_out = _pictures_of(label_studio.iterate_tasks(project_id(key)), config)
        seen: dict[int, _Seen] = {}
        for done, (some, unread) in enumerate(self._look_at(key, listed, predictor), 1):
            seen.update(some)
            left_out.update(unread)
            _show(job, "looking at pictures", min(1.0, done * AT_ONCE / max(1, len(listed))))
            if job.stop_or_pause() is not None:
                return None
        for reason, count in left_out.items():
            job.warn(f"{count} {'picture is' if count == 1 else 'pictures are'} not ranked: {reason}")
        _show(job, "ordering", 1.0)
        pool = [one.task_id for one in listed if one.task_id in seen and not one.is_labelled]
        done_ids = [one.task_id for one in listed if one.task_id in seen and one.is_labelled]
        useful = rank_pictures(
            _rows([seen[i].row for i in pool]),
            _rows([seen[i].row for i in done_ids]),
            None if predictor is None else [seen[i].found for i in pool],
            None if predictor is None else self._weights(key, version, predictor),
        )
        return Ranking(
            self.now(),
            None if predictor is None else predictor.version,
            len(done_ids),
            dict(zip(pool, useful, strict=True)),
        )

    def _predictor(self, job: RunningJob, key: str, config: LabelConfig) -> ImagePredictor | None:
        try:
            return self.versions.serving_predictor(key, config)
        except (NotReadyError, VersionError) as exc:
            job.warn(f"no version was asked what it doubts: {exc}")
            return None

    def _weights(self, key: str, version: str | None, predictor: ImagePredictor) -> LabelWeights:
        counts: Mapping[str, int] = {}
        if version is not None and version == self.versions.current(key):
            learned = self.store.card(key, version).counts
            counts = {} if learned is None else learned.regions_by_label
        return LabelWeights(counts, predictor.labels)

    def _look_at(
        self, key: str, listed: Sequence[_Picture], predictor: ImagePredictor | None
    ) -> Iterator[tuple[dict[int, _Seen], Counter[str]]]:
        """Yield what pictures look like and what is found in them, some at a time, with what was not read."""
        known = self.pictures.read(key, self.embedder.name)
        kept = {one.task_id: known[one.task_id] for one in listed if _is_known(one, known)}
        is_stale = len(kept) != len(known)
        unsaved = 0
        with ThreadPoolExecutor(FETCH_THREADS, "rank-fetch") as fetchers:
            for start in range(0, len(listed), AT_ONCE):
                seen, unread = {}, Counter[str]()
                chunk = listed[start : start + AT_ONCE]
                asked = [
                    one
                    for one in chunk
                    if one.task_id not in kept or (predictor is not None and not one.is_labelled)
                ]
                loaded = {one.task_id: fetchers.submit(self._load, key, one) for one in asked}
                work = []
                for one in asked:
                    try:
                        image = loaded[one.task_id].result()
                    except BackendError as exc:
                        unread[_UNREAD.get(type(exc), str(exc))] += 1
                        continue
                    work.append((one, *self._send(image, one, one.task_id in kept, predictor)))
                found: dict[int, Detections] = {}
                for one, row, detections in work:
                    if row is not None:
                        kept[one.task_id] = Embedded(digest_of(one.reference), row.result())
                        unsaved += 1
                    if detections is not None:
                        found[one.task_id] = detections.result()[0]
                unreadable = {one.task_id for one in asked} - {one.task_id for one, *_ in work}
                for one in chunk:
                    if one.task_id in kept and one.task_id not in unreadable:
                        seen[one.task_id] = _Seen(kept[one.task_id].row, found.get(one.task_id))
                if unsaved >= KEEP_EVERY:
                    self.pictures.replace_all(key, self.embedder.name, kept)
                    unsaved = 0
                yield seen, unread
        if unsaved or is_stale:
            self.pictures.replace_all(key, self.embedder.name, kept)

    def _load(self, key: str, one: _Picture) -> RgbImage:
        return self.images.load_rgb(one.reference, self.connections.image_access(key, one.task_id))

    def _send(
        self, image: RgbImage, one: _Picture, is_known: bool, predictor: ImagePredictor | None
    ) -> tuple[Future[FloatArray] | None, Future[list[Detections]] | None]:
        row = None if is_known else self.batching.call(lambda: self.embedder.embed(image), is_bulk=True)
        found = None
        if predictor is not None and not one.is_labelled:
            found = self.batching.submit(predictor, [image], _LIMITS, is_bulk=True)
        return row, found


def _pictures_of(tasks: Iterator[Json], config: LabelConfig) -> tuple[list[_Picture], Counter[str]]:
    """Return the first image of each task, and why others have none."""
    listed, left_out = [], Counter[str]()
    for task in tasks:
        try:
            reference = task_pages(task, config)[0].reference
        except RequestError:
            left_out["their task's data has no image where the labeling config looks for it"] += 1
            continue
        listed.append(_Picture(int(task["id"]), reference, bool(task.get("total_annotations"))))
    return listed, left_out


def _is_known(one: _Picture, known: Mapping[int, Embedded]) -> bool:
    return one.task_id in known and known[one.task_id].digest == digest_of(one.reference)


def _rows(rows: Sequence[FloatArray]) -> FloatArray:
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def _show(job: RunningJob, step: str, fraction: float) -> None:
    job.progress = replace(job.training_progress(), step=step, fraction=round(fraction, 4))
    job.show()


def _ended_early(job: RunningJob) -> JobOutcome:
    return JobOutcome(jobs.REQUEUE if job.stop_or_pause() == "pause" else jobs.STOPPED, job.report)
