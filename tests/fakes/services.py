"""Services joined from the fakes beside this file, as bootstrap joins the real ones."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask

from backend.bootstrap.backend import join_backend
from backend.bootstrap.jobs import JobHandler, build_handlers
from backend.bootstrap.web import build_housekeeping, build_panel
from backend.core.versions.card import VersionCard
from backend.service.backend import Backend
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.engine import Engine
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.text_lines import TextLines
from backend.service.engine.zero_shot import ZeroShot
from backend.service.jobs.jobs import JobOutcome, RunningJob
from backend.service.jobs.requests import JobRequests
from backend.service.panel.panel import Panel
from backend.service.predicting.pace import Pace
from backend.service.projects.connections import Connections
from backend.service.projects.projects import Projects
from backend.service.text.reading import TextReading
from backend.service.upkeep.housekeeping import Housekeeping
from backend.service.versions.models import Models
from backend.settings import Settings
from backend.web.app import create_app
from tests.fakes.changes import FakeChanges
from tests.fakes.documents import FakeDocuments
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.locks import FakeLocks
from tests.fakes.predictor import FakePredictor
from tests.fakes.queue import FakeQueue
from tests.fakes.smart_tools import FakeInteractive
from tests.fakes.training import FakeTrain
from tests.fakes.version_store import FakeVersionStore
from tests.fakes.waiting_room import FakeWaitingRoom


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
    changes: Any = field(default_factory=FakeChanges)
    locks: Any = field(default_factory=FakeLocks)
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
            locks=self.locks,
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
