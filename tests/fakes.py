"""Stand-ins for what the service needs from outside: small, in memory, without surprises."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask

from backend.bootstrap.backend import join_backend
from backend.bootstrap.jobs import JobHandler, build_handlers
from backend.bootstrap.web import build_housekeeping, build_panel
from backend.core.geometry.instances import Detections, ImageSize
from backend.core.geometry.pyramid import Pyramid
from backend.core.text.lines import LineHabit
from backend.core.versions.card import VersionCard
from backend.errors import ImageNotFound, LabelStudioGone
from backend.service.backend import Backend
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.engine import Engine
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.named_network import NetworkState
from backend.service.engine.text_lines import TextLines
from backend.service.engine.zero_shot import ZeroShot
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.requests import JobRequests
from backend.service.panel.panel import Panel
from backend.service.ports import CacheUse, ImageAccess
from backend.service.predicting.pace import Pace
from backend.service.projects.changes import ChangesHere
from backend.service.projects.connections import Connections
from backend.service.projects.projects import Projects
from backend.service.text.reading import TextReading
from backend.service.upkeep.housekeeping import Housekeeping
from backend.service.versions.models import Models
from backend.settings import Settings
from backend.training.inputs import EpochReport, Stage, TrainingOutcome, TrainingProgress
from backend.web.app import create_app
from tests.fake_queue import FakeQueue
from tests.fake_stores import FakeDocuments, FakeVersionStore

Json = dict[str, Any]
_REGION_IDS = itertools.count(1)

RECTANGLES = """
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>
</View>
"""


class FakeImages:
    """The ImageSource port: arrays or errors by reference; unknown references are not found."""

    def __init__(self, images: Mapping[str, Any] | None = None, seconds: float = 0.0) -> None:
        self.images: dict[str, Any] = dict(images or {})
        self.seconds = seconds
        self.asked: list[tuple[str, ImageAccess]] = []
        self.cached: set[str] = set()
        self.orientations: dict[str, int] = {}
        self.stretched: dict[str, tuple[int, int]] = {}
        self._use = CacheUse()

    def load_rgb(self, reference: str, access: ImageAccess) -> np.ndarray:
        self.asked.append((reference, access))
        if self.seconds:
            time.sleep(self.seconds)
        is_cached = self.is_cached(reference, access)
        self._use = CacheUse(self._use.hits + is_cached, self._use.misses + (not is_cached))
        found = self.images.get(reference, ImageNotFound(f"there is no image {reference}"))
        if isinstance(found, Exception):
            raise found
        self.cached.add(reference)
        return found

    def pyramid(self, reference: str, access: ImageAccess) -> Pyramid:
        return Pyramid.of(self.load_rgb(reference, access))

    def shrunk(self, reference: str, access: ImageAccess, longest_px: int) -> tuple[np.ndarray, ImageSize]:
        pyramid = self.pyramid(reference, access)
        return pyramid.shrunk(longest_px), pyramid.size

    def stretched_range(self, reference: str, access: ImageAccess) -> tuple[int, int] | None:
        return self.stretched.get(reference)

    def orientation(self, reference: str, access: ImageAccess) -> int:
        found = self.images.get(reference)
        if isinstance(found, Exception):
            raise found
        return self.orientations.get(reference, 1)

    def picture_id(self, reference: str, access: ImageAccess) -> str:
        found = self.images.get(reference)
        if isinstance(found, Exception):
            raise found
        return reference if found is None else hashlib.sha256(found.tobytes()).hexdigest()

    def known_picture_id(self, reference: str, access: ImageAccess) -> str | None:
        return self.picture_id(reference, access)

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        return reference in self.cached

    def cache_use(self) -> CacheUse:
        return self._use


class FakePredictor:
    """Finds one object per label in every image: a box over its upper left quarter, score 0.9, 0.8, ..."""

    most_at_once: int | None = None
    in_tiles = None

    def __init__(self, labels: Sequence[str] = ("Cat", "Dog"), version: str = "v1", seconds: float = 0.0):
        self.labels = tuple(labels)
        self.version = version
        self.line_habit: LineHabit | None = None
        self.turned_labels: frozenset[str] = frozenset()
        self.seconds = seconds
        self.batches: list[int] = []
        self.failure: Callable[[Sequence[np.ndarray]], Exception | None] = lambda images: None

    def input_size(self, image):
        return ImageSize(64, 64)

    def predict(self, images, *, confidence_threshold, nms_threshold, with_masks=True, max_regions=None):
        self.batches.append(len(images))
        if self.seconds:
            time.sleep(self.seconds * len(images))
        error = self.failure(images)
        if error is not None:
            raise error
        return [self._find(image, confidence_threshold) for image in images]

    def detect_with_maps(self, image, *, confidence_threshold, nms_threshold, max_regions=100):
        return self.predict([image], confidence_threshold=confidence_threshold, nms_threshold=nms_threshold)[
            0
        ], None

    def mask_in_box(self, maps, size, box_xyxy_px, label_index):
        return None

    def _find(self, image: np.ndarray, confidence_threshold: float) -> Detections:
        height, width = image.shape[:2]
        scores = np.array([0.9 - 0.1 * k for k in range(len(self.labels))], np.float32)
        kept = np.flatnonzero(scores >= confidence_threshold)
        return Detections(
            size=ImageSize(width, height),
            boxes_xyxy_px=np.tile(np.array([[0, 0, width / 2, height / 2]], np.float32), (len(kept), 1)),
            scores=scores[kept],
            label_indices=kept.astype(np.int64),
            masks=(None,) * len(kept),
            image_score=0.5,
        )


class FakeLabelStudio:
    """The LabelStudio port: one project with tasks and predictions; `failures` are raised one per call."""

    def __init__(self, tasks: Iterable[Json] = (), label_config: str = RECTANGLES) -> None:
        self.known_tasks = list(tasks)
        self.label_config = label_config
        self.pushed: list[Json] = []
        self.model_version: str | None = None
        self.sampling = "Sequential sampling"
        self.views: dict[int, Json] = {}
        self.failures: list[Exception] = []
        self.is_gone = False
        self.rows_read = 0
        self._ids = itertools.count(1)

    def project(self, project_id: int) -> Json:
        self._check()
        return {
            "id": project_id,
            "label_config": self.label_config,
            "model_version": self.model_version,
            "sampling": self.sampling,
        }

    def projects(self) -> list[Json]:
        self._check()
        return [self.project(7)]

    def export_annotated(self, project_id: int) -> list[Json]:
        self._check()
        return [task for task in self.known_tasks if task.get("annotations")]

    def tasks(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Json], int]:
        self._check()
        start = (page - 1) * page_size
        return self.known_tasks[start : start + page_size], len(self.known_tasks)

    def iterate_tasks(self, project_id: int, *, page_size: int = 500) -> Iterator[Json]:
        self._check()
        yield from self.known_tasks

    def predictions(self, task_id: int) -> list[Json]:
        self._check()
        return [item for item in self.pushed if item["task"] == task_id]

    def predicted_task_ids(
        self, project_id: int, model_version: str, *, among: Sequence[int] | None = None
    ) -> set[int]:
        self._check()
        found = {item["task"] for item in self.pushed if item["model_version"] == model_version}
        if among is not None and not among:
            return set()
        if among is not None:
            found = {task_id for task_id in found if min(among) <= task_id <= max(among)}
        self.rows_read += len(found)
        return found if among is None else found & set(among)

    def import_predictions(self, project_id: int, predictions: Sequence[Json]) -> int:
        self._check()
        known = {task["id"] for task in self.known_tasks}
        stored = [{"id": next(self._ids), **item} for item in predictions if item["task"] in known]
        self.pushed.extend(stored)
        return len(stored)

    def set_model_version(self, project_id: int, model_version: str) -> None:
        self._check()
        self.model_version = model_version

    def set_sampling(self, project_id: int, sampling: str) -> None:
        self._check()
        self.sampling = sampling

    def create_view(self, project_id: int, data: Mapping[str, Any]) -> int:
        self._check()
        view_id = next(self._ids)
        self.views[view_id] = dict(data)
        return view_id

    def delete_view(self, view_id: int) -> None:
        self._check()
        self.views.pop(view_id, None)

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        self._check()
        for item in self.pushed:
            if item["id"] == prediction_id:
                item["score"] = score
                return
        raise LabelStudioGone(f"there is no prediction {prediction_id}")

    def _check(self) -> None:
        if self.is_gone:
            raise LabelStudioGone("project 7 does not exist in Label Studio")
        if self.failures:
            raise self.failures.pop(0)


class FakeTrain:
    """Stands for the learning code: reports its epochs, asks whether to stop, writes one small file."""

    def __init__(self, epochs: int = 2) -> None:
        self.epochs = epochs
        self.inputs: list[Any] = []
        self.failure: Exception | None = None
        self.metrics = {"box_ap50": 0.5}

    def __call__(self, inputs, observer):
        self.inputs.append(inputs)
        for epoch in range(1, self.epochs + 1):
            if self.failure is not None:
                raise self.failure
            left = float(self.epochs - epoch)
            observer.on_progress(TrainingProgress(Stage.TRAIN, epoch / self.epochs, left))
            observer.on_epoch(EpochReport(epoch, self.epochs, 1.0 / epoch, left))
            if observer.stop_requested() == "keep":
                return self._outcome(inputs, "user")
        return self._outcome(inputs, None)

    def _outcome(self, inputs, stopped_by):
        folder = inputs.workdir / "version"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.safetensors").write_bytes(b"weights")
        card = VersionCard(labels=inputs.labels, params=inputs.params.as_dict())
        return TrainingOutcome(folder, card, dict(self.metrics), stopped_early_by=stopped_by)


class FakeInteractive:
    """Answers every prompt with no regions, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def answer(self, task, config, context, project_key, access):
        self.asked.append((task, config, context, project_key, access))
        return {"result": [], "score": 0.0, "model_version": "not-trained"}

    def warm_up(self) -> None:
        self.is_warm = True

    def network_state(self) -> NetworkState:
        return NetworkState()


class FakeEmbedder:
    """The PictureEmbedder port: the mean colours of a picture's quarters."""

    name = "quarters"

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, picture: np.ndarray) -> np.ndarray:
        self.asked += 1
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        quarters = [picture[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
        return np.concatenate([part.mean(axis=(0, 1)) for part in quarters]).astype(np.float32)


class FakeEncodingFiles:
    """The EncodingFiles port, in a dict."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.used: list[str] = []

    def lock(self, name: str):
        return contextlib.nullcontext()

    def read(self, name: str) -> bytes | None:
        return self.content.get(name)

    def write(self, name: str, content: bytes) -> None:
        self.content[name] = content

    def mark_used(self, name: str) -> None:
        self.used.append(name)

    def drop(self, name: str) -> None:
        self.content.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self.content


class FakeWaitingRoom:
    """The WaitingRoom port: counts who is in, and says what `empty_s` says."""

    def __init__(self) -> None:
        self.inside = 0
        self.empty_s = 100.0

    @contextlib.contextmanager
    def entered(self):
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def seconds_empty(self) -> float:
        return 0.0 if self.inside else self.empty_s


class FakeLease:
    """The worker's hold on a job, never lost unless told so."""

    def __init__(self) -> None:
        self.pause_requested = False
        self.lost: Exception | None = None

    def confirm(self) -> None:
        if self.lost is not None:
            raise self.lost


def picture(width: int = 40, height: int = 30) -> np.ndarray:
    """Return a small grey image."""
    return np.full((height, width, 3), 128, np.uint8)


def rectangle(label: str = "Cat", **value: float) -> Json:
    """Return one rectangle region of RECTANGLES' control tag."""
    geometry = {"x": 10, "y": 10, "width": 40, "height": 40, "rotation": 0, **value}
    return {
        "id": f"r{next(_REGION_IDS)}",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 40,
        "original_height": 30,
        "image_rotation": 0,
        "value": {**geometry, "rectanglelabels": [label]},
    }


def annotated(task_id: int, *regions: Json, image: str | None = None) -> Json:
    """Return a task with one annotation."""
    return {
        "id": task_id,
        "data": {"image": image or f"{task_id}.png"},
        "annotations": [{"id": task_id, "result": list(regions)}],
    }


@dataclass(frozen=True)
class FakeServices:
    """Everything a backend is joined from, in a test's reach; `replace` a field to join another one."""

    settings: Settings
    documents: FakeDocuments
    store: FakeVersionStore
    queue: Any
    images: Any
    projects: Projects
    zero_shot: ZeroShot
    versions: LoadedVersions
    batching: BatchingQueue
    connect: Callable[[str, str], Any]
    train: Any
    interactive: Any
    waiting_room: Any
    after_task: Any
    text: TextReading
    changes: Any = field(default_factory=ChangesHere)
    checkpoints: Any = None
    embedder: Any = field(default_factory=FakeEmbedder)
    pace: Pace = field(default_factory=Pace)
    now: Callable[[], float] = time.time

    @cached_property
    def backend(self) -> Backend:
        """What the doors get."""
        return join_backend(
            self.settings,
            projects=self.projects,
            connections=self.connections,
            models=self.models,
            jobs=self.jobs,
            engine=self.engine,
            smart_tools=self.interactive,
            waiting_room=self.waiting_room,
            after_task=self.after_task,
            now=self.now,
        )

    @cached_property
    def connections(self) -> Connections:
        """To the one Label Studio."""
        url, api_key = self.settings.label_studio_url, self.settings.label_studio_api_key
        return Connections(self.projects, self.connect, url=url, api_key=api_key)

    @cached_property
    def models(self) -> Models:
        """LoadedVersions, stored and loaded."""
        return Models(self.store, self.versions, self.zero_shot)

    @cached_property
    def jobs(self) -> JobRequests:
        """The queue with its requests."""
        return JobRequests(self.queue, self.documents)

    @cached_property
    def engine(self) -> Engine:
        """Images and the network."""
        return Engine(self.images, self.batching, self.text)

    @cached_property
    def panel(self) -> Panel:
        """The panel's parts; from then on they hear of events."""
        return build_panel(self.backend)

    def housekeeping(self, clock: Callable[[], float] = time.monotonic) -> Housekeeping:
        """Return the chores of one more web process."""
        return build_housekeeping(
            self.backend, changes=self.changes, checkpoints=self.checkpoints, clock=clock
        )

    @cached_property
    def handlers(self) -> dict[str, JobHandler]:
        """What a worker runs, by kind of job."""
        return build_handlers(
            self.backend,
            train=self.train,
            checkpoints=self.checkpoints,
            embedder=self.embedder,
            pace=self.pace,
        )

    def run(self, job: RunningJob) -> JobOutcome:
        """Run a job as a worker does."""
        return self.handlers[job.record.kind](job)

    def app(self, load_model_class: Callable[[], Any]) -> Flask:
        """Return the web application."""
        housekeeping = self.housekeeping()
        app = create_app(self.backend, self.panel, housekeeping, load_model_class)
        app.extensions["housekeeping"] = housekeeping  # for whoever has to end its thread
        return app


def make_services(folder: Path, **changes: Any) -> FakeServices:
    """Return services of fakes alone; `changes` replace fields, `settings` may be a dict of settings.

    zero_shot: makes of the projects what predicts before any training, in place of nothing.
    """
    settings = changes.pop("settings", {})
    if isinstance(settings, dict):
        settings = Settings(**{"data_dir": folder / "data", **settings})
    documents = changes.pop("documents", None) or FakeDocuments()
    store = changes.pop("store", None) or FakeVersionStore(folder / "store")
    images = changes.pop("images", None) or FakeImages()
    predictor = changes.pop("predictor", None) or FakePredictor()
    label_studio = changes.pop("label_studio", None) or FakeLabelStudio()
    projects = Projects(documents, changes.get("now", time.time))
    batching = BatchingQueue()
    zero_shot = changes.pop("zero_shot", ZeroShot)(projects)
    text = changes.pop("text", None) or TextReading(None, "no engine is installed")
    stand_ins = (zero_shot, TextLines(text, projects))

    def load(version_folder: Path) -> FakePredictor:
        loaded = copy.copy(predictor)
        loaded.version = version_folder.name
        return loaded

    fields: dict[str, Any] = {
        "settings": settings,
        "documents": documents,
        "store": store,
        "queue": FakeQueue(),
        "images": images,
        "projects": projects,
        "zero_shot": zero_shot,
        "versions": LoadedVersions(store, load, is_retired=projects.is_deleted, stand_ins=stand_ins),
        "batching": batching,
        "connect": lambda url, token: label_studio,
        "train": FakeTrain(),
        "interactive": FakeInteractive(),
        "waiting_room": FakeWaitingRoom(),
        "after_task": lambda key, task, config, access: None,
        "text": text,
    }
    return FakeServices(**{**fields, **changes})


def connections_to(label_studio: Any) -> Connections:
    """Return connections that lead every project to one Label Studio."""
    projects = Projects(FakeDocuments())
    return Connections(projects, lambda url, token: label_studio, url="http://label-studio", api_key="key")


def add_version(services: FakeServices, key: str, version: str = "v1", **card: Any) -> str:
    """Publish and activate a version, as a training would."""
    labels = ["Cat", "Dog"]
    content = VersionCard.from_json({"labels": labels, **card})
    services.store.publish(key, version, Path("/nonexistent"), content, activate=True)
    services.versions.announce(key)
    return version
