"""The state of a training between two epochs, so that a restarted worker goes on where it was."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from backend.training.detector.start_weights import Start
from backend.training.inputs import CHECKPOINT_FILE
from backend.written_whole import written_whole

logger = logging.getLogger(__name__)

FORMAT = 3


@dataclass
class TrainingState:
    """Everything a resumed epoch needs; tensors and plain values only, so it loads without pickled code."""

    next_epoch: int = 0
    step: int = 0
    batch_size: int = 1
    best_epoch: int = -1
    best_fitness: float = -1.0
    seconds: float = 0.0
    images_seen: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    ema_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    best_weights: dict[str, torch.Tensor] | None = None
    optimizer: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    """What each epoch came to, those before an interruption too; the epochs count from 1."""
    new_map: dict[str, Any] | None = None
    """Card of the map that the images which joined late suggest; None before and where little was found."""
    late_readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Cards of the readings that fit the images which joined late, by the name of the head."""
    start: Start | None = None
    """Where the weights came from before the first epoch; None in the checkpoints of earlier releases."""


def save_state(state: TrainingState, folder: Path, fingerprint: str) -> None:
    """Write the state; a crash leaves the old one or the new one."""
    values = {**vars(state), "start": state.start and asdict(state.start)}
    with written_whole(folder / CHECKPOINT_FILE) as part:
        torch.save({"format": FORMAT, "fingerprint": fingerprint, **values}, part)


def load_state(folder: Path, fingerprint: str) -> TrainingState | None:
    """Return the stored state; None where there is none, it is damaged, or it belongs to another training."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored.pop("format") != FORMAT or stored.pop("fingerprint") != fingerprint:
            logger.warning("checkpoint in %s is of another training; starting over", folder.name)
            return None
        start = stored.pop("start", None)
        return TrainingState(**stored, start=start and Start(**start))
    except Exception as exc:  # torch.load raises a dozen kinds for a damaged file
        logger.warning("checkpoint in %s cannot be read (%s); starting over", folder.name, exc)
        return None


def discard_state(folder: Path) -> None:
    """Remove the checkpoint once it has served."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
