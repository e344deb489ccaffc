"""Settings in, the backend out: the only place that picks real collaborators and joins them to use cases."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from backend.bootstrap.by_example import by_example
from backend.bootstrap.named_networks import sam_network, zero_shot
from backend.bootstrap.text import text_reading
from backend.core.ledger.costs import Costs
from backend.errors import QueueError
from backend.infra.images.fetcher import ImageFetcher
from backend.infra.images.folder import FolderImages
from backend.infra.labelstudio.api import LabelStudioApi
from backend.infra.machine.file_cache import FileCache
from backend.infra.machine.waiting_room import MachineWaitingRoom
from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.infra.queue.locks import RedisLocks
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.queue.serving_stamps import RedisServingStamps
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from backend.infra.store.versions import StoredVersions
from backend.service.acceptance.desk import AcceptanceDesk
from backend.service.acceptance.requests import AcceptRequests
from backend.service.acceptance.survey import KeptSurveys
from backend.service.backend import Backend, InteractiveAnswers
from backend.service.engine.batching_queue import MOST_IMAGES_AT_ONCE, BatchingQueue, Streams
from backend.service.engine.engine import Engine
from backend.service.engine.loaded_versions import LoadedVersions, Predictor
from backend.service.engine.stand_in import StandIn
from backend.service.engine.text_lines import TextLines
from backend.service.jobs.requests import JobRequests
from backend.service.label_next.desk import LabelNextDesk
from backend.service.label_next.ranking import KeptRankings
from backend.service.label_next.requests import RankRequests
from backend.service.label_next.scores import PredictionScores
from backend.service.label_next.switch import Switch
from backend.service.label_next.switched import KeptSwitches
from backend.service.learning.requests import TrainingRequests
from backend.service.ledger.desk import AcceptedBatch, AcceptedBatches, LedgerDesk
from backend.service.ledger.entries import KeptLedgers
from backend.service.ports import AfterTask, LabelStudio, Locks, WaitingRoom
from backend.service.predicting.answer import TaskPredictions
from backend.service.predicting.requests import BackgroundRequests
from backend.service.projects.connections import Connections
from backend.service.projects.events import EventHints
from backend.service.projects.projects import Projects
from backend.service.second_look.desk import SecondLookDesk
from backend.service.second_look.findings import KeptFindings
from backend.service.second_look.repairs import Repairs
from backend.service.second_look.requests import LookRequests
from backend.service.smart_tools.answers import Interactive
from backend.service.smart_tools.encode_ahead import EncodeAhead
from backend.service.smart_tools.encoded_images import EncodedImages
from backend.service.upkeep.retirement import Retirement
from backend.service.versions.models import Models
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.service.smart_tools.segmenters import Segmenter


SHARE_FOR_LEARNING = 0.6
"""Of the time for `/predict`: how long it waits for what is learned from examples."""


def build_backend(settings: Settings) -> Backend:
    """Join the real collaborators; connects to nothing yet and imports no network code."""
    objects = open_object_store(settings.store_location)
    documents = JsonDocuments(objects)
    projects = Projects(documents)
    store = StoredVersions(
        objects,
        settings.data_dir / "cache" / "versions",
        keep_versions=settings.keep_versions,
        cache_bytes=settings.version_cache_bytes,
        max_import_bytes=settings.max_model_bytes,
    )
    images = ImageFetcher.from_settings(settings)

    def open_streams() -> Streams:
        from backend.nn.runtime.threads import CoreStreams

        return CoreStreams.for_device(resolve_device(settings.device), MOST_IMAGES_AT_ONCE)

    batching = BatchingQueue(open_streams)
    text = text_reading(settings.ocr)

    def load(folder: Path) -> Predictor:
        from backend.nn.detector.predictor import load_predictor

        return load_predictor(folder, resolve_device(settings.device))

    def prepare_loading() -> None:
        from backend.nn.detector.backbone import import_timm
        from backend.nn.runtime.precision import is_bf16_faster

        import_timm()
        is_bf16_faster(resolve_device(settings.device))

    def load_segmenter_here(folder: Path | None) -> Segmenter:
        from backend.nn.prompts.segmenter import load_segmenter

        return load_segmenter(folder)

    def connect(url: str, token: str) -> LabelStudio:
        return LabelStudioApi(
            url, token, timeout_s=settings.label_studio_timeout_s, ca_bundle=settings.ca_bundle
        )

    by_names = zero_shot(settings.zero_shot_model, projects, lambda: resolve_device(settings.device))
    connections = Connections(
        projects, connect, url=settings.label_studio_url, api_key=settings.label_studio_api_key
    )
    stand_ins: list[StandIn] = [by_names, TextLines(text, projects)]
    if settings.predict_by_example:
        wait_s = SHARE_FOR_LEARNING * settings.predict_deadline_s
        stand_ins.insert(0, by_example(images, connections, wait_s))
    versions = LoadedVersions(
        store,
        load,
        prepare_loading,
        stamps=RedisServingStamps(redis_url_of(settings)),
        is_retired=partial(projects.is_deleted, fresh=True),
        stand_ins=stand_ins,
    )
    waiting_room = MachineWaitingRoom(settings.data_dir / "cache" / "waiting")
    encoded = EncodedImages(
        images,
        versions,
        batching,
        load_segmenter_here,
        store.local_folder,
        FileCache(settings.data_dir / "cache" / "encodings", settings.encoding_cache_bytes // 2),
        memory_bytes=settings.encoding_cache_bytes // 2 // settings.web_workers,
        chosen=sam_network(settings.sam_model, batching, lambda: resolve_device(settings.device)),
    )
    ahead = EncodeAhead(encoded, batching, waiting_room, connections.label_studio)
    return join_backend(
        settings,
        projects=projects,
        connections=connections,
        models=Models(store, versions, by_names),
        jobs=JobRequests(RqJobQueue(redis_url_of(settings), job_timeout_s=settings.job_timeout_s), documents),
        engine=Engine(images, batching, text),
        smart_tools=Interactive(
            encoded, versions, batching, waiting_room, images, text, followed_by=ahead.follow
        ),
        waiting_room=waiting_room,
        locks=RedisLocks(redis_url_of(settings)),
        after_task=ahead.follow,
    )


def join_backend(
    settings: Settings,
    *,
    projects: Projects,
    connections: Connections,
    models: Models,
    jobs: JobRequests,
    engine: Engine,
    smart_tools: InteractiveAnswers,
    waiting_room: WaitingRoom,
    locks: Locks,
    after_task: AfterTask,
    now: Callable[[], float] = time.time,
) -> Backend:
    """Give each use case what it needs of these."""
    background = BackgroundRequests(jobs, models.loaded)
    order = label_next(jobs, connections, models, background)
    events = EventHints(projects, now)
    events.listen(lambda key, action: models.loaded.labels_changed(key))
    return Backend(
        settings=settings,
        projects=projects,
        connections=connections,
        models=models,
        jobs=jobs,
        engine=engine,
        events=events,
        predictions=TaskPredictions(
            projects=projects,
            connections=connections,
            versions=models.loaded,
            pipeline=engine.pipeline,
            background=background,
            waiting_room=waiting_room,
            after_task=after_task,
            rescored=order.scores.rescored,
            deadline_s=settings.predict_deadline_s,
        ),
        background=background,
        trainings=TrainingRequests(projects, models.store, jobs, now),
        smart_tools=smart_tools,
        retirement=Retirement(projects, connections, models.loaded, jobs),
        second_look=second_look(jobs, connections, models, locks),
        acceptance=acceptance(jobs, models),
        ledger=LedgerDesk(
            KeptLedgers(jobs.documents),
            connections,
            accepted_batches(KeptSurveys(jobs.documents)),
            Costs(**dict(settings.annotation_seconds)),
            now,
        ),
        label_next=order,
        now=now,
    )


def accepted_batches(kept: KeptSurveys) -> AcceptedBatches:
    """Return what tells the ledger which versions were accepted by precision, and how right they are."""
    return lambda key: {
        batch.batch_id: AcceptedBatch(batch.version, 1 - batch.mistakes / max(1, batch.regions))
        for batch in kept.batches(key)
    }


def second_look(jobs: JobRequests, connections: Connections, models: Models, locks: Locks) -> SecondLookDesk:
    """Return the web's half of second looks."""
    kept = KeptFindings(jobs.documents)
    repairs = Repairs(kept, connections, locks)
    return SecondLookDesk(LookRequests(jobs, models.loaded), kept, repairs, jobs)


def acceptance(jobs: JobRequests, models: Models) -> AcceptanceDesk:
    """Return the web's half of accepting by precision."""
    kept = KeptSurveys(jobs.documents)
    return AcceptanceDesk(AcceptRequests(jobs, models.loaded, kept), kept, jobs, models.loaded)


def label_next(
    jobs: JobRequests, connections: Connections, models: Models, background: BackgroundRequests
) -> LabelNextDesk:
    """Return the web's half of the order in which pictures are best labelled."""
    rankings, switches, requests = (
        KeptRankings(jobs.documents),
        KeptSwitches(jobs.documents),
        RankRequests(jobs),
    )
    return LabelNextDesk(
        requests,
        rankings,
        switches,
        PredictionScores(rankings, switches),
        Switch(switches, requests, background, models.loaded, connections),
        jobs,
    )


def with_image_folder(
    backend: Backend, folder: Path, references: Iterable[str]
) -> tuple[Backend, FolderImages]:
    """Return a backend whose engine looks for images below a folder first, and those; for the command line.

    references: of all images that will be asked for.
    """
    settings = backend.settings
    images = FolderImages(
        folder,
        backend.engine.images,
        references=references,
        max_bytes=settings.image_max_bytes,
        max_pixels=settings.image_max_pixels,
    )
    return replace(backend, engine=replace(backend.engine, images=images)), images


@lru_cache(maxsize=1)
def shared_backend() -> Backend:
    """Return the backend of this process, made from its environment on the first call.

    For the class in model.py, which label-studio-ml's own server builds anew for every request. Where neither
    REDIS_URL is set nor `serve` runs on the same DATA_DIR, a Redis is started here, so that START_TRAINING
    can be queued; a worker on that DATA_DIR finds it.
    """
    settings = Settings.from_env(os.environ)
    backend = build_backend(settings)
    if settings.redis_url is None:
        try:
            backend.jobs.queue.records()
        except QueueError:
            _start_redis(settings)
    return backend


def redis_url_of(settings: Settings) -> str:
    """Return the address of Redis: the one that was set, else that of the Redis on the same DATA_DIR."""
    return settings.redis_url or EmbeddedRedis(settings.data_dir / "redis").url


def _start_redis(settings: Settings) -> None:
    redis = EmbeddedRedis(settings.data_dir / "redis")
    started = threading.Event()

    def keep() -> None:
        # The kernel ends this child with the thread that started it, and requests' threads are short-lived.
        try:
            redis.start()
            atexit.register(redis.stop)
        finally:
            started.set()
        threading.Event().wait()

    threading.Thread(target=keep, name="embedded-redis", daemon=True).start()
    started.wait()


def resolve_device(device: str) -> str:
    """Return the device that `auto` means here. Imports torch."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
