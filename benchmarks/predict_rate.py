"""Images a second that `/predict` answers through HTTP, with the version of an earlier training.

    python -m benchmarks.learning_http --data DATA --set brush --data-dir KEPT       # trains once
    python -m benchmarks.predict_rate --data DATA --set brush --data-dir KEPT [--rounds 3]

Each round asks for all validation images in one request, at the default thresholds and at 0.01, and fetches
every one over HTTP from another process. The first round comes right after the start of the service. After
each answer, in turns because a shared machine changes its pace, this process times the bare network on ready
tensors of the same images in two ways: in batches of eight, one after another, on torch's own threads; and as
the service computes, a stream for each core with its share of those eight. Masks of objects, which need the
boxes first, are left out of the bare network. Appends one line to benchmarks/results/predict_rate.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from backend.nn.predictor import BATCH_SIZE, load_predictor
from backend.nn.threads import run_side_by_side
from benchmarks.learning import SETS, load_samples
from benchmarks.learning_speed import ready_batches
from benchmarks.live_service import append_result
from benchmarks.smart_tools import served
from tests.service_process import ServiceProcess


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
        bare = BareNetwork(args.data, args.set, version)
        for name, params in (("at_default", {}), ("at_0.01", {"confidence_threshold": 0.01})):
            rounds = []
            for number in range(args.rounds):
                request = {**body, "tasks": tasks(f"{name}-{number}"), "params": params}
                started = time.monotonic()
                answer = service.post("/predict", request)
                answer.raise_for_status()
                seconds = time.monotonic() - started
                assert all(answer.json()["results"]), "a task got no prediction"
                rounds.append((seconds, bare.seconds_one_after_another(), bare.seconds_side_by_side()))
            row[f"images_per_s_{name}"] = [round(len(val) / s, 2) for s, _, _ in rounds]
            row[f"times_bare_one_after_another_{name}"] = [round(s / b, 2) for s, b, _ in rounds]
            row[f"times_bare_side_by_side_{name}"] = [round(s / b, 2) for s, _, b in rounds]
            row[f"bare_images_per_s_{name}"] = [[round(len(val) / b, 1) for b in both] for _, *both in rounds]
    append_result("predict_rate", row)


class BareNetwork:
    """The network of a version alone, its inputs ready."""

    def __init__(self, root: Path, name: str, version: Path) -> None:
        self._predictor = load_predictor(version)
        images = [sample.load_rgb() for sample in load_samples(root, name, "val")[0]]
        self._streams = torch.get_num_threads()
        self._full = ready_batches(self._predictor, images, BATCH_SIZE)
        self._shared = ready_batches(self._predictor, images, -(-BATCH_SIZE // self._streams))
        self.seconds_one_after_another()
        self.seconds_side_by_side()

    def seconds_one_after_another(self) -> float:
        """Return the time of all images in batches of eight, every core at each layer."""
        started = time.perf_counter()
        for batch in self._full:
            self._predictor._run(batch)
        return time.perf_counter() - started

    def seconds_side_by_side(self) -> float:
        """Return the time of all images in a stream for each core."""
        started = time.perf_counter()
        run_side_by_side(self._predictor._run, self._shared, self._streams)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
