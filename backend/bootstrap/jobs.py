"""The worker's half of the use cases, joined from a backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from backend.bootstrap.backend import resolve_device
from backend.bootstrap.by_example import picture_embedder
from backend.infra.store.checkpoint_copies import CheckpointCopies
from backend.infra.store.objects import open_object_store
from backend.service.acceptance.survey import KeptSurveys
from backend.service.acceptance.work import Acceptances
from backend.service.backend import Backend
from backend.service.jobs.jobs import ACCEPT, LOOK, PREDICT, RANK, TRAIN, JobOutcome, RunningJob
from backend.service.label_next.pictures import KeptPictures, PictureEmbedder
from backend.service.label_next.rank import Rankings
from backend.service.learning.train import Learning, Train, Trainings
from backend.service.ports import CheckpointStore
from backend.service.predicting.background import BackgroundPredictions
from backend.service.predicting.pace import Pace
from backend.service.predicting.requests import BackgroundRequests
from backend.service.second_look.findings import KeptFindings
from backend.service.second_look.look import SecondLooks
from backend.settings import Settings
from backend.training.inputs import TrainingInputs, TrainingObserver, TrainingOutcome

JobHandler = Callable[[RunningJob], JobOutcome]


def build_handlers(
    backend: Backend,
    *,
    train: Train | None = None,
    checkpoints: CheckpointStore | None = None,
    embedder: PictureEmbedder | None = None,
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> dict[str, JobHandler]:
    """Return what a worker runs, by kind of job.

    train, checkpoints, embedder: in place of the real ones. pace: of background predictions.
    """
    predictions = BackgroundPredictions(
        projects=backend.projects,
        connections=backend.connections,
        versions=backend.models.loaded,
        pipeline=backend.engine.pipeline,
        jobs=backend.jobs,
        rescored=backend.label_next.scores.rescored,
        sets_model_version=backend.settings.set_model_version,
        now=backend.now,
        pace=pace,
    )
    trainings = build_trainings(backend, train=train, checkpoints=checkpoints)
    looks = SecondLooks(
        projects=backend.projects,
        connections=backend.connections,
        models=backend.models,
        jobs=backend.jobs,
        images=backend.engine.images,
        batching=backend.engine.batching,
        learning=trainings.learning,
        kept=KeptFindings(backend.jobs.documents),
        now=backend.now,
    )
    acceptances = Acceptances(
        projects=backend.projects,
        connections=backend.connections,
        models=backend.models,
        jobs=backend.jobs,
        images=backend.engine.images,
        batching=backend.engine.batching,
        pipeline=backend.engine.pipeline,
        kept=KeptSurveys(backend.jobs.documents),
        now=backend.now,
    )
    rankings = Rankings(
        connections=backend.connections,
        versions=backend.models.loaded,
        store=backend.models.store,
        jobs=backend.jobs,
        images=backend.engine.images,
        batching=backend.engine.batching,
        embedder=embedder or picture_embedder(),
        pictures=KeptPictures(backend.jobs.documents),
        rankings=backend.label_next.rankings,
        scores=backend.label_next.scores,
        now=backend.now,
    )
    return {
        TRAIN: trainings.run,
        LOOK: looks.run,
        PREDICT: predictions.run,
        ACCEPT: acceptances.run,
        RANK: rankings.run,
    }


def build_trainings(
    backend: Backend, *, train: Train | None = None, checkpoints: CheckpointStore | None = None
) -> Trainings:
    """Return the worker's half of training; train and checkpoints: in place of the real ones."""
    settings = backend.settings
    learning = Learning(
        train=train or partial(_train, settings),
        work_dir=work_dir(settings),
        device=settings.device,
        pretrained_path=settings.pretrained_path,
        checkpoints=checkpoints or checkpoint_copies(settings),
    )
    return Trainings(
        projects=backend.projects,
        connections=backend.connections,
        models=backend.models,
        jobs=backend.jobs,
        images=backend.engine.images,
        batching=backend.engine.batching,
        learning=learning,
        background=BackgroundRequests(backend.jobs, backend.models.loaded),
        rankings=backend.label_next.requests,
        text=backend.engine.text,
        note_in_ledger=backend.ledger.note,
        now=backend.now,
    )


def _train(settings: Settings, inputs: TrainingInputs, observer: TrainingObserver) -> TrainingOutcome:
    from backend.training.run import train_version

    device = resolve_device(inputs.device)
    processes = settings.train_processes or gpu_count(device)
    return train_version(replace(inputs, device=device, processes=processes), observer)


def gpu_count(device: str) -> int:
    """Return how many GPUs a training may use: all of this machine's, or the one that was named."""
    if device != "cuda":
        return 1
    import torch

    return torch.cuda.device_count()


def work_dir(settings: Settings) -> Path:
    """Return the folder below which each job of this machine has its own."""
    return settings.data_dir / "work"


def checkpoint_copies(settings: Settings) -> CheckpointCopies | None:
    """Return where checkpoints are copied to; without STORE_URL they lie where the store does."""
    return CheckpointCopies(open_object_store(settings.store_location)) if settings.store_url else None
