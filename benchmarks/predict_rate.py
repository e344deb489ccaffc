"""Images a second that `/predict` answers through HTTP, with the version of an earlier training.

    python -m benchmarks.learning_http --data DATA --set brush --data-dir KEPT       # trains once
    python -m benchmarks.predict_rate --data DATA --set brush --data-dir KEPT [--rounds 3]

Each round asks for all validation images in one request, at the default thresholds and at 0.01. The first
round fetches every image over HTTP from another process, the others find them in the cache on disk. The bare
network on ready tensors of the same images stands beside it, in this process. Appends one line to
benchmarks/results/predict_rate.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.learning import SETS
from benchmarks.learning_speed import prediction_rates
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
        "command": f"python -m benchmarks.predict_rate --data DATA --set {args.set} --data-dir KEPT",
    }
    with ExitStack() as stack:
        # A copy without cached images, so that the first round fetches them.
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        shutil.copytree(args.data_dir / "projects", data_dir / "projects")
        url = stack.enter_context(served(args.data / folder))
        service = stack.enter_context(ServiceProcess(data_dir))
        tasks = [{"id": i, "data": {"image": f"{url}/{by_id[i]['data']['image']}"}} for i in val]
        service.post("/predict", {**body, "tasks": tasks[:1]}).raise_for_status()
        for name, params in (("at_default", {}), ("at_0.01", {"confidence_threshold": 0.01})):
            rates = []
            for _ in range(args.rounds):
                started = time.monotonic()
                answer = service.post("/predict", {**body, "tasks": tasks, "params": params})
                answer.raise_for_status()
                rates.append(round(len(val) / (time.monotonic() - started), 2))
                assert all(answer.json()["results"]), "a task got no prediction"
            row[f"images_per_s_{name}"] = rates
    row["in_process"] = prediction_rates(args.data, args.set, version)
    append_result("predict_rate", row)


if __name__ == "__main__":
    main()
