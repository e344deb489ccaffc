"""A training without a network."""

from __future__ import annotations

from typing import Any

from backend.core.versions.card import VersionCard
from backend.training.inputs import EpochReport, Stage, TrainingOutcome, TrainingProgress
from backend.training.judging.holdout import split_by_task


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
        task_ids = [sample.task_id for sample in inputs.samples]
        held_out = {task_ids[k] for k in split_by_task(task_ids, inputs.recipe, inputs.known_tasks)[1]}
        card = VersionCard(
            labels=inputs.labels,
            params=inputs.params.as_dict(),
            held_out_tasks=tuple(sorted(held_out)),
            is_held_out_of_start=True,
        )
        return TrainingOutcome(folder, card, dict(self.metrics), stopped_early_by=stopped_by)
