"""Which version a training goes on from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.core.labelstudio.label_config import LabelConfig
from backend.core.versions.card import VersionCard
from backend.errors import ParameterError, VersionError
from backend.service.jobs.jobs import RunningJob
from backend.service.ports import VersionStore
from backend.service.versions.models import Models
from backend.service.versions.unseen import unseen_tasks
from backend.training.inputs import TrainingSample
from backend.training.parameters import AUTO, CURRENT, SCRATCH, TrainingParams

logger = logging.getLogger(__name__)


def resolve_start(models: Models, key: str, params: TrainingParams) -> TrainingParams:
    """Name the version that "current" means now, and the backbone that "auto" means.

    "current" means scratch where no version serves, or none of this backbone. "auto" is the start version's
    backbone, where there is one. Raises ParameterError where a version that was named does not fit.
    """
    if params.start_from == CURRENT:
        params = _current_named(models, key, params)
    if params.start_from != SCRATCH and params.backbone == AUTO:
        return replace(params, backbone=start_card(models.store, key, params).backbone or AUTO)
    return params.with_named_backbone()


def _current_named(models: Models, key: str, params: TrainingParams) -> TrainingParams:
    version = models.loaded.current(key)
    if version is None:
        return replace(params, start_from=SCRATCH)
    named = replace(params, start_from=version)
    try:
        start_card(models.store, key, named)
    except ParameterError as exc:
        logger.info("project %s: training starts from scratch: %s", key, exc)
        return replace(params, start_from=SCRATCH)
    return named


def start_card(store: VersionStore, key: str, params: TrainingParams) -> VersionCard:
    """Return the card of the version to start from. Raises ParameterError where it does not fit."""
    try:
        card = store.card(key, params.start_from)
    except VersionError as exc:
        raise ParameterError(f"start_from: {exc}", field="start_from") from exc
    if params.backbone not in (AUTO, card.backbone):
        raise ParameterError(
            f"start_from: version {params.start_from} has the backbone {card.backbone}, {params.backbone} "
            "was asked for; take that backbone, or start from scratch",
            field="start_from",
        )
    return card


def known_tasks(
    store: VersionStore,
    key: str,
    params: TrainingParams,
    tasks: Sequence[Any],
    samples: Sequence[TrainingSample],
) -> frozenset[int]:
    """Return the ids of the samples' tasks that the version to start from may have learned from.

    tasks: all annotated ones.
    """
    if params.start_from == SCRATCH:
        return frozenset()
    card = start_card(store, key, params)
    unseen = unseen_tasks(store, key, card, [task for task in tasks if isinstance(task, Mapping)])
    return frozenset(sample.task_id for sample in samples) - unseen


def start_folder(
    store: VersionStore, key: str, params: TrainingParams, config: LabelConfig, job: RunningJob
) -> Path | None:
    """Return the files of the version to start from, None to start from scratch."""
    if params.start_from == SCRATCH:
        return None
    card = start_card(store, key, params)
    new = [label for label in config.labels if label not in card.labels]
    if new:
        job.warn(f"version {params.start_from} does not know {', '.join(new)}; they are learned afresh")
    return store.local_folder(key, params.start_from)
