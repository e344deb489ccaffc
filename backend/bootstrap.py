"""Settings in, services out: the only place that picks the real collaborators."""

from __future__ import annotations

import atexit
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import QueueError
from backend.infra.images.fetcher import ImageFetcher
from backend.infra.labelstudio.api import LabelStudioApi
from backend.infra.machine.encoding_files import SharedEncodings
from backend.infra.machine.waiting_room import MachineWaitingRoom
from backend.infra.queue.changes import RedisChanges
from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.store.checkpoint_copies import CheckpointCopies
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from backend.infra.store.versions import Versions as StoredVersions
from backend.service.engine.batching_queue import MOST_IMAGES_AT_ONCE, NetworkLane, Streams
from backend.service.engine.loaded_versions import Predictor, Versions
from backend.service.engine.pipeline import Pipeline
from backend.service.ports import LabelStudio
from backend.service.projects.projects import Projects
from backend.service.services import Services
from backend.service.smart_tools.answers import Interactive
from backend.service.smart_tools.encode_ahead import EncodeAhead
from backend.service.smart_tools.prepared_images import Embedder, PreparedImages
from backend.settings import Settings
from backend.training.inputs import TrainingInputs, TrainingObserver, TrainingOutcome

if TYPE_CHECKING:
    from backend.core.geometry.instances import FloatArray
    from backend.nn.prompts.sam import SamSegmenter
    from backend.service.engine.batching_queue import RgbImage
    from backend.service.smart_tools.prepared_images import Segmenter


def build_services(settings: Settings) -> Services:
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

    lane = NetworkLane(open_streams)

    def load(folder: Path) -> Predictor:
        from backend.nn.detector.predictor import load_predictor

        return load_predictor(folder, resolve_device(settings.device))

    def prepare_loading() -> None:
        from backend.nn.detector.backbone import import_timm
        from backend.nn.runtime.precision import is_bf16_faster

        import_timm()
        is_bf16_faster(resolve_device(settings.device))

    sam_lock = threading.Lock()  # the cache alone would let two threads load the network at once

    @lru_cache(maxsize=1)
    def cached_sam(folder: Path) -> SamSegmenter:
        from backend.nn.prompts.sam import load_sam

        return load_sam(folder, resolve_device(settings.device))

    def load_sam_here(folder: Path) -> SamSegmenter:
        with sam_lock:
            return cached_sam(folder)

    def load_segmenter_here(folder: Path | None) -> Segmenter:
        if settings.sam_model_dir is not None:
            return load_sam_here(settings.sam_model_dir)
        from backend.nn.prompts.segmenter import load_segmenter

        return load_segmenter(folder)

    def embedder_of(folder: Path) -> Embedder:
        def embed(image: RgbImage) -> FloatArray:
            return load_sam_here(folder).embed(image)

        files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir())
        return Embedder(f"{folder.resolve()} {files}", embed)

    def train(inputs: TrainingInputs, observer: TrainingObserver) -> TrainingOutcome:
        from dataclasses import replace

        from backend.training.run import train_version

        device = resolve_device(inputs.device)
        processes = settings.train_processes or gpu_count(device)
        return train_version(replace(inputs, device=device, processes=processes), observer)

    def connect(url: str, token: str) -> LabelStudio:
        return LabelStudioApi(
            url, token, timeout_s=settings.label_studio_timeout_s, ca_bundle=settings.ca_bundle
        )

    versions = Versions(store, load, prepare_loading, is_retired=projects.is_deleted)
    waiting_room = MachineWaitingRoom(settings.data_dir / "cache" / "waiting")
    prepared = PreparedImages(
        images,
        versions,
        lane,
        load_segmenter_here,
        store.local_folder,
        SharedEncodings(settings.data_dir / "cache" / "encodings", settings.encoding_cache_bytes // 2),
        memory_bytes=settings.encoding_cache_bytes // 2 // settings.web_workers,
        embedder=None if settings.sam_model_dir is None else embedder_of(settings.sam_model_dir),
    )
    ahead = EncodeAhead(prepared, lane, waiting_room, lambda key: services.label_studio(key))
    services = Services(
        settings=settings,
        documents=documents,
        store=store,
        queue=RqJobQueue(redis_url_of(settings), job_timeout_s=settings.job_timeout_s),
        changes=RedisChanges(redis_url_of(settings)),
        images=images,
        projects=projects,
        versions=versions,
        lane=lane,
        pipeline=Pipeline(images, lane),
        connect=connect,
        train=train,
        # Without STORE_URL checkpoints lie on this machine's disk, next to the store itself.
        checkpoints=CheckpointCopies(objects) if settings.store_url else None,
        interactive=Interactive(prepared, versions, lane, waiting_room, followed_by=ahead.follow),
        waiting_room=waiting_room,
        after_task=ahead.follow,
    )
    return services


@lru_cache(maxsize=1)
def shared_services() -> Services:
    """Return the services of this process, made from its environment on the first call.

    For the class in model.py, which label-studio-ml's own server builds anew for every request. Where neither
    REDIS_URL is set nor `serve` runs on the same DATA_DIR, a Redis is started here, so that START_TRAINING
    can be queued; a worker on that DATA_DIR finds it.
    """
    settings = Settings.from_env(os.environ)
    services = build_services(settings)
    if settings.redis_url is None:
        try:
            services.queue.records()
        except QueueError:
            _start_redis(settings)
    return services


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


def gpu_count(device: str) -> int:
    """Return how many GPUs a training may use: all of this machine's, or the one that was named."""
    if device != "cuda":
        return 1
    import torch

    return torch.cuda.device_count()
