"""What the service runs on: queue and workers, model files, device, disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BackendError
from backend.service.checks.check import FAILED, OK, WARNING, Check
from backend.service.engine.named_network import NetworkState
from backend.service.ports import JobQueue, Json, VersionStore

_LOW_DISK_BYTES = 2 * 1024**3
_LOW_MEMORY_BYTES = 1024**3


@dataclass(frozen=True)
class MachineChecks:
    """Checks of the machine, for any project or none.

    device: returns `{device, total_bytes, free_bytes, note}`, as `backend.service.checks.device` does.
    smart_tools: says which network answers prompts. zero_shot: which one predicts before any training.
    """

    queue: JobQueue
    store: VersionStore
    device: Callable[[], Json]
    data_dir: Path
    smart_tools: Callable[[], NetworkState]
    zero_shot: Callable[[], NetworkState]

    def run(self) -> list[Check]:
        """Return all checks."""
        checks = [self._queue(), self._model_files(), self._device(), self._smart_tools()]
        zero_shot = self.zero_shot()
        if zero_shot.chosen is not None:
            checks.append(_zero_shot(zero_shot))
        return [*checks, self._disk()]

    def _queue(self) -> Check:
        try:
            state = self.queue.worker_state()
        except BackendError as exc:
            return Check("queue", "Queue and workers", FAILED, str(exc), "Start Redis, or correct REDIS_URL.")
        if not state.workers:
            return Check(
                "queue",
                "Queue and workers",
                FAILED,
                "Redis answers, but no worker is running.",
                "Start one with `labelstudio-backend worker`, or set TRAIN_WORKERS to 1.",
            )
        return Check(
            "queue",
            "Queue and workers",
            OK,
            f"{state.workers} running, {state.busy} of them busy; {state.waiting} jobs wait",
        )

    def _model_files(self) -> Check:
        problems = self.store.problems()
        if not problems:
            return Check("model_files", "Model files", OK, "No damaged version was met.")
        return Check(
            "model_files",
            "Model files",
            FAILED,
            "; ".join(problems),
            "The newest good version serves meanwhile. Restore the files, or delete that version.",
        )

    def _device(self) -> Check:
        probe = self.device()
        found = f"{probe['device']}: {_gib(probe['free_bytes'])} of {_gib(probe['total_bytes'])} free"
        if probe.get("note"):
            found += f"; {probe['note']}"
        if probe["free_bytes"] is not None and probe["free_bytes"] < _LOW_MEMORY_BYTES:
            return Check(
                "device",
                "Device and memory",
                WARNING,
                found,
                "Free memory, or train with a smaller batch and image size.",
            )
        return Check("device", "Device and memory", OK, found)

    def _smart_tools(self) -> Check:
        name, title, state = "smart_tools", "Smart tools' network", self.smart_tools()
        if state.chosen is None:
            return Check(name, title, OK, "Our own network answers.")
        if state.licence is not None:
            return Check(name, title, OK, f"{state.chosen} answers; licence of its weights: {state.licence}")
        if state.problem is not None:
            return Check(
                name,
                title,
                WARNING,
                f"Our own network answers, not {state.chosen}: {state.problem}",
                "Put right what is named, or unset SAM_MODEL; then start the service again.",
            )
        return Check(
            name,
            title,
            WARNING,
            f"Our own network answers until {state.chosen} is downloaded and loaded.",
            "Wait for the download, then check again.",
        )

    def _disk(self) -> Check:
        try:
            free = shutil.disk_usage(self.data_dir).free
        except OSError as exc:
            return Check(
                "disk", "Disk", FAILED, f"DATA_DIR cannot be read: {exc.strerror}", "Create the folder."
            )
        if free < _LOW_DISK_BYTES:
            return Check(
                "disk",
                "Disk",
                WARNING,
                f"{_gib(free)} left in DATA_DIR",
                "Delete old versions, or free disk.",
            )
        return Check("disk", "Disk", OK, f"{_gib(free)} left in DATA_DIR")


def _zero_shot(state: NetworkState) -> Check:
    name, title = "zero_shot", "Predictions before training"
    if state.licence is not None:
        return Check(
            name,
            title,
            OK,
            f"{state.chosen} predicts projects that have no trained version; licence of its weights: "
            f"{state.licence}",
        )
    if state.problem is not None:
        return Check(
            name,
            title,
            WARNING,
            f"Projects without a trained version get no predictions: {state.chosen} cannot be used: "
            f"{state.problem}",
            "Put right what is named, or unset ZERO_SHOT_MODEL; then start the service again.",
        )
    return Check(
        name,
        title,
        WARNING,
        f"{state.chosen} is being downloaded and loaded.",
        "Wait for the download, then check again.",
    )


def _gib(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1024**3:.1f} GiB"
