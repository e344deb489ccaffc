"""Images a second that `/predict` answers through HTTP, with the version of an earlier training.

    python -m benchmarks.learning_http --data DATA --set brush --data-dir KEPT       # trains once
    python -m benchmarks.predict_rate --data DATA --set brush --data-dir KEPT [--rounds 3]

Each round asks for all validation images in one request, at the default thresholds and at 0.01, and fetches
every one over HTTP from another process. The first round comes right after the start of the service. After
each answer, in turns because a shared machine changes its pace, this process times the bare network on ready
tensors of the same images: in batches of eight, one after another, on torch's own threads; the same without
the layers for masks of objects; and as the service computes, a stream for each core with its share of those
eight. Ready are the images as the network's input and, for the masks, the boxes that the request reports.
Appends one line to benchmarks/results/predict_rate.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.letterbox import Letterbox
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.heads.serving import Found, Request
from backend.nn.detector.predictor import BATCH_SIZE, Predictor, load_predictor
from backend.nn.runtime.threads import run_side_by_side
from backend.training.parameters import TrainingParams
from benchmarks.data_sets import SETS, load_samples
from benchmarks.learning_speed import ready_batches
from benchmarks.live_service import append_result
from benchmarks.smart_tools import served
from harness.service_process import ServiceProcess

WAYS = ("one_after_another", "without_masks", "side_by_side")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data-dir", type=Path, required=True, help="of a run of benchmarks.learning_http")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    folder, tasks_file, config_file = SETS[args.set]
    (version,) = (card.parent for card in args.data_dir.glob("projects/*/versions/*/card.json"))
    by_id = {task["id"]: task for task in json.loads((args.data / folder / tasks_file).read_text())}
    val = json.loads((args.data / folder / "splits.json").read_text())["val"]
    body = {
        "project": version.parent.parent.name,
        "label_config": (args.data / folder / config_file).read_text(),
    }
    row = {
        "set": args.set,
        "images": len(val),
        "command": (
            f"python -m benchmarks.predict_rate --data DATA --set {args.set} --data-dir KEPT "
            f"--rounds {args.rounds}"
        ),
    }
    with ExitStack() as stack:
        # A copy of the projects alone: no image is in the cache.
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        shutil.copytree(args.data_dir / "projects", data_dir / "projects")
        url = stack.enter_context(served(args.data / folder))
        service = stack.enter_context(ServiceProcess(data_dir))

        def tasks(marker: str) -> list[dict]:
            """Return the tasks with addresses that no earlier round has put into the cache."""
            paths = {i: by_id[i]["data"]["image"] for i in val}
            return [{"id": i, "data": {"image": f"{url}/{paths[i]}?{marker}"}} for i in val]

        service.post("/predict", {**body, "tasks": tasks("first")[:1]}).raise_for_status()
        images = [sample.load_rgb() for sample in load_samples(args.data, args.set, "val")[0]]
        for name, threshold in (("at_default", TrainingParams.confidence_threshold), ("at_0.01", 0.01)):
            bare = BareNetwork(load_predictor(version), images, threshold)
            rounds = []
            for number in range(args.rounds):
                params = {"confidence_threshold": threshold}
                request = {**body, "tasks": tasks(f"{name}-{number}"), "params": params}
                started = time.monotonic()
                answer = service.post("/predict", request)
                answer.raise_for_status()
                seconds = time.monotonic() - started
                assert all(answer.json()["results"]), "a task got no prediction"
                rounds.append((seconds, *bare.seconds(first=number)))
            row[f"images_per_s_{name}"] = [round(len(val) / times[0], 2) for times in rounds]
            for position, way in enumerate(WAYS, start=1):
                row[f"times_bare_{way}_{name}"] = [round(times[0] / times[position], 2) for times in rounds]
                row[f"bare_images_per_s_{way}_{name}"] = [
                    round(len(val) / times[position], 1) for times in rounds
                ]
    append_result("predict_rate", row)


Piece = tuple[torch.Tensor, list[FloatArray]]
"""Images as the network takes them, and in each the boxes whose masks are wanted."""


class BareNetwork:
    """The network of a version alone, its inputs ready."""

    def __init__(self, predictor: Predictor, images: list[np.ndarray], confidence_threshold: float) -> None:
        self._predictor = predictor
        self._request = Request(confidence_threshold, TrainingParams.nms_threshold, predictor.most_regions)
        self._streams = torch.get_num_threads()
        self._full = self._with_boxes(ready_batches(predictor, images, BATCH_SIZE))
        self._shared = self._with_boxes(ready_batches(predictor, images, -(-BATCH_SIZE // self._streams)))
        self.seconds()

    def seconds(self, first: int = 0) -> tuple[float, ...]:
        """Return the time that all images take in each of WAYS; `first` says which of them begins.

        The one that follows the service's answer is at a disadvantage, so each should be it as often.
        """
        ways: tuple[Callable[[], object], ...] = (
            lambda: [self._run(piece) for piece in self._full],
            lambda: [self._predictor.run(images) for images, _ in self._full],
            lambda: run_side_by_side(self._run, self._shared, self._streams),
        )
        turns = [(first + k) % len(ways) for k in range(len(ways))]
        took = {way: _seconds(ways[way]) for way in turns}
        return tuple(took[way] for way in range(len(ways)))

    def _with_boxes(self, batches: list[torch.Tensor]) -> list[Piece]:
        pieces = []
        for images in batches:
            maps = self._predictor.run(images)
            size = ImageSize(images.shape[2], images.shape[1])
            found = [Found.nothing(Letterbox.fit(size, size))] * len(images)
            found = BOXES.decode(self._predictor.serving[BOXES], maps, found, self._request)
            pieces.append((images, [one.boxes_net_xyxy_px for one in found]))
        return pieces

    def _run(self, piece: Piece) -> None:
        images, kept = piece
        maps = self._predictor.run(images)
        if MASKS in self._predictor.serving:
            MASKS.mask_logits(self._predictor.serving[MASKS], maps, kept)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
