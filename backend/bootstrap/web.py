"""What a web process has beside the backend: its chores and the panel."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from backend.bootstrap.backend import redis_url_of
from backend.bootstrap.jobs import checkpoint_copies, work_dir
from backend.infra.machine.file_cache import FileCache
from backend.infra.queue.changes import RedisChanges
from backend.service.backend import Backend
from backend.service.checks.device import probe_device
from backend.service.checks.diagnosis import Diagnosis
from backend.service.checks.images import ImageChecks
from backend.service.checks.machine import MachineChecks
from backend.service.learning.auto_train import AutoTrainer
from backend.service.panel.held_predictions import HeldPredictions
from backend.service.panel.label_totals import LabelTotals
from backend.service.panel.live_state import LiveState
from backend.service.panel.one_prediction import OnePrediction
from backend.service.panel.page_images import PageImages
from backend.service.panel.panel import Panel
from backend.service.panel.review import Review
from backend.service.ports import ChangeCounts, CheckpointStore
from backend.service.predicting.new_tasks import NewTasks
from backend.service.predicting.pushing import resume_where_label_studio_is_back
from backend.service.projects.last_events import LastEvents
from backend.service.projects.task_index import TaskIndex
from backend.service.upkeep.housekeeping import Chore, Housekeeping
from backend.service.upkeep.loading import load_what_serves, load_what_was_used_last
from backend.service.upkeep.sweep import Sweep

RESUME_EVERY_S = 15.0
SWEEP_EVERY_S = 3600.0
SHARE_OF_THREADS = 3
THUMBNAIL_BYTES, THUMBNAIL_SLACK = 256 * 1024**2, 0.05
"""Disk for thumbnails, of some 8 KiB each."""


def build_housekeeping(
    backend: Backend,
    *,
    changes: ChangeCounts | None = None,
    checkpoints: CheckpointStore | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Housekeeping:
    """Return the chores of a web process; changes and checkpoints: in place of the real ones."""
    settings, versions = backend.settings, backend.models.loaded
    auto_train = AutoTrainer(
        backend.projects,
        backend.connections,
        backend.trainings,
        backend.retirement,
        changes or RedisChanges(redis_url_of(settings)),
        backend.now,
    )
    new_tasks = NewTasks(backend.projects, backend.background, clock)
    sweep = Sweep(
        backend.projects,
        backend.jobs,
        backend.models.store,
        work_dir(settings),
        checkpoints or checkpoint_copies(settings),
        backend.now,
    )

    def resume_jobs() -> None:
        resume_where_label_studio_is_back(backend.jobs, backend.connections, backend.now())

    return Housekeeping(
        first=[
            backend.smart_tools.warm_up,
            backend.models.zero_shot.warm_up,
            versions.warm_up,
            partial(load_what_was_used_last, backend.projects, versions),
        ],
        chores=[
            Chore(partial(backend.events.hand_out, new_tasks.take, auto_train.take)),
            Chore(auto_train.train_where_due),
            Chore(new_tasks.predict_where_due),
            Chore(partial(load_what_serves, versions)),
            Chore(resume_jobs, every_s=RESUME_EVERY_S),
            Chore(sweep.sweep, every_s=SWEEP_EVERY_S),
        ],
        clock=clock,
    )


def build_panel(backend: Backend) -> Panel:
    """Return the panel's parts; from now on events of Label Studio are hints for it too. Starts nothing."""
    documents, connections = backend.jobs.documents, backend.connections
    versions, images = backend.models.loaded, backend.engine.images
    last_events = LastEvents(backend.projects, backend.now)
    held = HeldPredictions(documents)
    index = TaskIndex(
        connections.label_studio,
        versions.serving,
        held.of_project,
        useful=backend.label_next.rankings.useful,
    )
    totals = LabelTotals(connections.label_studio, on_tasks=backend.ledger.note)
    thumbnails = FileCache(
        backend.settings.data_dir / "cache" / "thumbnails", THUMBNAIL_BYTES, slack=THUMBNAIL_SLACK
    )
    panel = Panel(
        index=index,
        images=PageImages(images, index, connections, thumbnails),
        review=Review(
            held=held,
            documents=documents,
            connections=connections,
            versions=versions,
            predict=OnePrediction(connections, versions, backend.predictions).predict,
            index=index,
            clock=backend.now,
        ),
        totals=totals,
        live=LiveState(
            queue=backend.jobs.queue,
            models=backend.models,
            index=index,
            totals=totals,
            # Every live connection holds a thread; the greater part of them stays free for Label Studio.
            most_watchers=max(1, backend.settings.web_threads // SHARE_OF_THREADS),
            is_leaving=lambda: backend.engine.pipeline.is_leaving,
        ),
        diagnosis=Diagnosis(
            projects=backend.projects,
            connections=connections,
            models=backend.models,
            images=ImageChecks(connections, images, index),
            last_events=last_events,
            machine=MachineChecks(
                backend.jobs.queue,
                backend.models.store,
                probe_device,
                backend.settings.data_dir,
                backend.smart_tools.network_state,
                lambda: backend.models.zero_shot.state,
            ),
            text=backend.engine.text.state,
            now=backend.now,
        ),
        last_events=last_events,
    )
    backend.events.listen(lambda key, action: panel.project_changed(key, by_event=True))
    return panel
