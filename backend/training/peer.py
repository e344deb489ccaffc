"""One of the processes that share a training: torchrun starts `-m backend.training.peer FOLDER`."""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from backend.child_processes import end_with_parent
from backend.errors import BackendError
from backend.training.detector.peers import Peers, join, leave
from backend.training.inputs import EpochReport, TrainingPaused
from backend.training.launch import read_inputs, read_stop, say
from backend.training.run import learn_detector


def main(folder: Path) -> int:
    """Learn this process's shard; returns the exit status."""
    end_with_parent()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    inputs, loaded = read_inputs(folder)
    torch.manual_seed(inputs.seed)
    peers = join(inputs.device)
    inputs = replace(inputs, device=str(peers.device))
    try:
        learned = learn_detector(inputs, loaded, _Messenger(folder, peers), peers)
    except TrainingPaused as exc:
        if peers.is_first:
            say(folder, "paused", message=str(exc))
    except BackendError as exc:
        say(folder, "error", error=type(exc).__name__, message=str(exc))
        return 1  # the others may wait for this one, so torchrun has to end them
    else:
        if learned is not None:
            said = {**vars(learned), "folder": str(learned.folder), "card": learned.card.as_json()}
            say(folder, "learned", **said)
    leave()
    return 0


class _Messenger:
    """The observer of a process: the first one passes on what it is told, the others say nothing."""

    def __init__(self, folder: Path, peers: Peers) -> None:
        self._folder = folder
        self._peers = peers

    def on_epoch(self, report: EpochReport) -> None:
        if self._peers.is_first:
            say(self._folder, "epoch", report=asdict(report))

    def on_judging(self) -> None:
        if self._peers.is_first:
            say(self._folder, "judging")

    def on_warning(self, message: str) -> None:
        if self._peers.is_first:
            say(self._folder, "warning", message=message)

    def stop_requested(self) -> str | None:
        return read_stop(self._folder) if self._peers.is_first else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
