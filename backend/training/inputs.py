"""What a training takes and gives: the seam between the service and the learning code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import TrainingTarget
from backend.core.versions.card import VersionCard
from backend.training.parameters import TrainingParams
from backend.training.recipe import RECIPE, Recipe

CHECKPOINT_FILE = "checkpoint.pt"
"""The file in `TrainingInputs.workdir` that lets a later call go on; replaced whole after an epoch."""


@dataclass(frozen=True)
class TrainingSample:
    """One annotated image: `load_rgb` reads uint8 [H, W, 3] (from the local cache; may raise FetchError).

    page: number of the image among those of its task.
    """

    task_id: int
    load_rgb: Callable[[], npt.NDArray[np.uint8]]
    target: TrainingTarget
    page: int = 0


@dataclass(frozen=True)
class TrainingInputs:
    """One training: what to learn from, how, and where to work.

    labels: class names in the order of `label_indices`. asked: what else heads are to learn, by the name of
    the head: by the name of the control tag, as the kind of its answers says. workdir: folder of this job
    alone, kept over a restart of the worker; checkpoints live there. start_folder: unpacked version to start
    from, or None. pretrained_path: local file or folder of ImageNet weights, or None for timm's hub.
    processes: how many may share the training, on one GPU each where device is "cuda". known_tasks: ids of
    those that the version to start from may have learned from, which would flatter what it is judged by.
    """

    samples: Sequence[TrainingSample]
    labels: tuple[str, ...]
    params: TrainingParams
    workdir: Path
    device: str = "cpu"
    start_folder: Path | None = None
    pretrained_path: Path | None = None
    seed: int = 0
    processes: int = 1
    recipe: Recipe = RECIPE
    asked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    known_tasks: frozenset[int] = frozenset()


class Stage(str, Enum):
    """What a training does, one after the other, in the words that a user reads."""

    LOAD = "loading images"
    TRAIN = "training"
    JUDGE = "judging"
    TUNE = "tuning the smart tools"
    WRITE = "writing the version"


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is: its stage, and over all stages what is done (0..1) and the seconds left.

    seconds_left: None where nobody can tell yet.
    """

    stage: Stage
    fraction: float
    seconds_left: float | None = None


@dataclass(frozen=True)
class EpochReport:
    """What one epoch came to; `metrics` holds what was measured on the held-out part (may be empty).

    seconds_spent: on all epochs so far, those before an interruption too.
    """

    epoch: int
    epochs: int
    loss: float
    seconds_left: float
    metrics: dict[str, float] = field(default_factory=dict)
    seconds_spent: float = 0.0


class LearningObserver(Protocol):
    """Who is told how the network learns, and who may end it."""

    def on_epoch(self, report: EpochReport) -> None:
        """Take the report of a finished epoch."""

    def on_judging(self) -> None:
        """Take that the last epoch is over and what it came to is judged."""

    def on_warning(self, message: str) -> None:
        """Take a sentence the user must see (random weights, batch halved, ...)."""

    def stop_requested(self) -> str | None:
        """Return "keep" (publish the best so far), "discard", "pause" (checkpoint and leave), or None."""


class TrainingObserver(Protocol):
    """Who is told how a training goes from its first image to its version, and who may end it."""

    def on_tiles(self, reason: str) -> None:
        """Take a sentence that says whether and how the images are cut into tiles, and why."""

    def on_progress(self, progress: TrainingProgress) -> None:
        """Take how far the whole training is; it comes many times a stage."""

    def on_epoch(self, report: EpochReport) -> None:
        """Take the report of a finished epoch; seconds_left are those of the whole training."""

    def on_warning(self, message: str) -> None:
        """Take a sentence the user must see (random weights, batch halved, ...)."""

    def stop_requested(self) -> str | None:
        """Return "keep" (publish the best so far), "discard", "pause" (checkpoint and leave), or None."""


class TrainingPaused(Exception):
    """The observer asked to pause; the checkpoint in `workdir` lets the next call go on."""


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training made: a folder with weights.safetensors (and more), and what its card must say.

    card: without what is known only once the version is published.
    metrics: of the epoch that is kept, on the held-out part, or on nothing (`{}`).
    """

    folder: Path
    card: VersionCard
    metrics: dict[str, float]
    stopped_early_by: str | None = None
