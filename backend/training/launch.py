"""One detector learned by several processes: what the worker hands them, and what it hears from them.

They are started with torchrun and share nothing with the worker but a folder:

    images/*.npy               the images at training size, mapped by all of them
    processes/inputs.pt        what to learn, from which of the images
    processes/stop             how to end, once the observer asks for it
    processes/messages.jsonl   what the first process reports, and any process's error
    processes/log.txt          what they print
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend import errors
from backend.child_processes import end_with_parent
from backend.core.evaluation.judged import PageSource
from backend.core.geometry.instances import Attributes, FloatArray, ImageSize, MaskPatch, TrainingTarget
from backend.core.versions.card import VersionCard
from backend.training.detector.images import CachedImage, LoadedImages
from backend.training.inputs import EpochReport, LearningObserver, TrainingInputs, TrainingPaused
from backend.training.parameters import TrainingParams
from backend.training.recipe import Augmentation, Recipe
from backend.training.tiles import TilesDecision
from backend.written_whole import written_whole

logger = logging.getLogger(__name__)

Json = dict[str, Any]
FOLDER = "processes"
LOOK_EVERY_S = 0.2
END_WITHIN_S = 15.0
LOG_LINES_SHOWN = 40
# Fewer than these of a batch give a batch norm nothing to go by, and a process nothing to do.
IMAGES_PER_PROCESS_MIN = 4


@dataclass(frozen=True)
class Learned:
    """A detector: its folder with weights and card, the card, its metrics, and what ended it early."""

    folder: Path
    card: VersionCard
    metrics: dict[str, float]
    stopped_early_by: str | None


def process_count(inputs: TrainingInputs, image_count: int) -> int:
    """Return how many processes so many images and such batches keep busy, at most `inputs.processes`."""
    if image_count < inputs.recipe.few_images:
        return 1
    return max(1, min(inputs.processes, inputs.params.batch_size // IMAGES_PER_PROCESS_MIN))


def learn_in_processes(
    inputs: TrainingInputs, loaded: LoadedImages, observer: LearningObserver, count: int
) -> Learned:
    """Learn a detector in `count` processes. Raises as `learn_detector` does, TrainingError if one dies."""
    folder = inputs.workdir / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_inputs(folder, inputs, loaded)
    logger.info("training in %d processes", count)
    end: Json | None = None
    with (folder / "log.txt").open("wb") as log, _torchrun(folder, count, log.fileno()) as process:
        heard = 0
        while True:
            has_ended = process.poll() is not None  # asked first, so that nothing said last is missed
            messages = read_messages(folder)
            for message in messages[heard:]:
                end = end or _pass_on(message, observer)
            heard = len(messages)
            if has_ended:
                break
            wish = observer.stop_requested()
            if wish is not None:
                write_stop(folder, wish)
            time.sleep(LOOK_EVERY_S)
    if end is None:
        tail = (folder / "log.txt").read_text("utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        logger.error("the training processes ended with status %s:\n%s", process.returncode, "\n".join(tail))
        raise errors.TrainingError(
            f"the training's {count} processes ended unexpectedly (status {process.returncode}); the "
            "worker's log has their last lines. Set TRAIN_PROCESSES=1 to train in one process"
        )
    if end["kind"] == "paused":
        raise TrainingPaused(end["message"])
    if end["kind"] == "error":
        raise getattr(errors, end["error"])(end["message"])
    shutil.rmtree(folder, ignore_errors=True)
    card = VersionCard.from_json(end["card"])
    return Learned(Path(end["folder"]), card, end["metrics"], end["stopped_early_by"])


def write_inputs(folder: Path, inputs: TrainingInputs, loaded: LoadedImages) -> None:
    """Write what the processes need; `read_inputs` gives it back, but for samples and processes."""
    arrays = inputs.workdir / "images"
    arrays.mkdir(exist_ok=True)
    images = []
    for number, cached in enumerate(loaded.images):
        path = arrays / f"shared-{number}.npy"
        np.save(path, np.asarray(cached.image))
        target = cached.target
        images.append(
            {
                "image": str(path),
                "size": (target.size.width, target.size.height),
                "boxes_xyxy_px": torch.from_numpy(np.ascontiguousarray(target.boxes_xyxy_px)),
                "label_indices": torch.from_numpy(np.ascontiguousarray(target.label_indices)),
                "masks": [
                    None if mask is None else (mask.left_px, mask.top_px, torch.from_numpy(mask.bits.copy()))
                    for mask in target.masks
                ],
                # As JSON: torch reads no classes of ours, such as those of points.
                "extras": json.dumps(dict(target.extras)),
                "turned_boxes_px": _tensor(target.turned_boxes_px),
                "attributes": [
                    None if one is None else (dict(one.taught), list(one.sides)) for one in target.attributes
                ],
                "tile_side_px": cached.tile_side_px,
                "source": _source_entry(cached),
            }
        )
    stored = {
        "labels": list(inputs.labels),
        "asked": {head: dict(asked) for head, asked in inputs.asked.items()},
        "params": inputs.params.as_dict(),
        "device": inputs.device,
        "start_folder": inputs.start_folder and str(inputs.start_folder),
        "pretrained_path": inputs.pretrained_path and str(inputs.pretrained_path),
        "seed": inputs.seed,
        "recipe": asdict(inputs.recipe),
        "known_tasks": sorted(inputs.known_tasks),
        "images": images,
        "task_ids": list(loaded.task_ids),
        "failures": list(loaded.failures),
        "tiles": loaded.tiles.as_card(),
    }
    torch.save(stored, folder / "inputs.pt")


def read_inputs(folder: Path) -> tuple[TrainingInputs, LoadedImages]:
    """Return what the worker wrote: inputs without samples, and the images mapped from their files."""
    stored = torch.load(folder / "inputs.pt", weights_only=True)
    inputs = TrainingInputs(
        samples=(),
        labels=tuple(stored["labels"]),
        params=TrainingParams(**stored["params"]),
        workdir=folder.parent,
        device=stored["device"],
        start_folder=_path(stored["start_folder"]),
        pretrained_path=_path(stored["pretrained_path"]),
        seed=stored["seed"],
        recipe=_recipe_of(stored["recipe"]),
        asked=stored["asked"],
        known_tasks=frozenset(stored["known_tasks"]),
    )
    images = [
        CachedImage(
            np.load(entry["image"], mmap_mode="r"),
            _target_of(entry),
            entry["tile_side_px"],
            _source_of(entry["source"]),
        )
        for entry in stored["images"]
    ]
    tiles = TilesDecision.from_card(stored["tiles"])
    return inputs, LoadedImages(images, list(stored["task_ids"]), list(stored["failures"]), tiles)


def read_messages(folder: Path) -> list[Json]:
    """Return everything said so far; a line that is still being written is left for later."""
    path = folder / "messages.jsonl"
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def say(folder: Path, kind: str, /, **content: Any) -> None:
    """Tell the worker something; one short write, so that lines of several processes do not mix."""
    line = json.dumps({"kind": kind, **content}) + "\n"
    with (folder / "messages.jsonl").open("ab") as stream:
        stream.write(line.encode())


def write_stop(folder: Path, wish: str) -> None:
    """Tell the processes how to end: "keep", "discard" or "pause"."""
    with written_whole(folder / "stop") as part:
        part.write_text(wish)


def read_stop(folder: Path) -> str | None:
    """Return how the processes are to end, None while they are to go on."""
    with contextlib.suppress(FileNotFoundError):
        return (folder / "stop").read_text()
    return None


def _target_of(entry: Json) -> TrainingTarget:
    return TrainingTarget(
        size=ImageSize(*entry["size"]),
        boxes_xyxy_px=entry["boxes_xyxy_px"].numpy(),
        label_indices=entry["label_indices"].numpy(),
        masks=tuple(
            None if mask is None else MaskPatch(mask[0], mask[1], mask[2].numpy()) for mask in entry["masks"]
        ),
        extras=json.loads(entry["extras"]),
        turned_boxes_px=None if entry["turned_boxes_px"] is None else entry["turned_boxes_px"].numpy(),
        attributes=tuple(
            None if one is None else Attributes(one[0], tuple(one[1])) for one in entry["attributes"]
        ),
    )


def _tensor(values: FloatArray | None) -> torch.Tensor | None:
    return None if values is None else torch.from_numpy(np.ascontiguousarray(values))


def _source_entry(cached: CachedImage) -> tuple[int, int, int, int] | None:
    source = cached.source
    return source and (source.task_id, source.page, source.size.width, source.size.height)


def _source_of(entry: tuple[int, int, int, int] | None) -> PageSource | None:
    return None if entry is None else PageSource(entry[0], entry[1], ImageSize(*entry[2:]))


def _recipe_of(values: Json) -> Recipe:
    return Recipe(**{**values, "augmentation": Augmentation(**values["augmentation"])})


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _pass_on(message: Json, observer: LearningObserver) -> Json | None:
    """Tell the observer what a process said; return the message if it is about the end."""
    if message["kind"] == "epoch":
        observer.on_epoch(EpochReport(**message["report"]))
        return None
    if message["kind"] == "judging":
        observer.on_judging()
        return None
    if message["kind"] == "warning":
        observer.on_warning(message["message"])
        return None
    return message


@contextlib.contextmanager
def _torchrun(folder: Path, count: int, log: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the processes; whatever happens here, none of them is left behind."""
    threads = max(1, (os.cpu_count() or 1) // count)
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes=1", f"--nproc-per-node={count}", "--max-restarts=0"),
        *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost"),
        *("-m", "backend.training.peer", str(folder)),
    ]
    process = subprocess.Popen(
        command,
        env={"OMP_NUM_THREADS": str(threads), **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_WITHIN_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
