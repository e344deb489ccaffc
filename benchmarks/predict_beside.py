"""This checkout beside another one: `/predict`, the first prediction, the first prompt, the start, in turns.

    git worktree add ../before <commit>
    python -m benchmarks.learning_http --data DATA --set bccd --first 30 --data-dir KEPT     # trains once
    python -m benchmarks.predict_beside --data DATA --set bccd --data-dir KEPT --other ../before [--rounds 8]

Both serve the same version from copies of KEPT, one after the other in each round, because a shared machine
changes its pace; who begins changes from round to round. A round asks for all validation images in one
request, each under an address that no cache knows. Appends one line to
benchmarks/results/predict_beside.jsonl; `ratio` is the median over the rounds of the other's seconds through
ours: above 1, ours is faster.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2

from benchmarks.data_sets import SETS
from benchmarks.live_service import append_result
from benchmarks.smart_tools import served
from harness.service_process import ROOT, ServiceProcess

STARTS = 4
PROMPT_CONFIG = (
    '<View><Image name="image" value="$image"/><Brush name="brush" toName="image" smart="true"/>'
    '<KeyPointLabels name="point" toName="image" smart="true"><Label value="Thing"/></KeyPointLabels>'
    '<BrushLabels name="area" toName="image"><Label value="Thing"/></BrushLabels></View>'
)


class Side:
    """One checkout's service."""

    def __init__(self, name: str, checkout: Path, kept: Path, folder: Path) -> None:
        self.name = name
        data_dir = folder / name
        shutil.copytree(kept / "projects", data_dir / "projects")
        self.service = ServiceProcess(data_dir, PYTHONPATH=str(checkout))

    def timed(self, body: dict) -> float:
        """Return the seconds that `/predict` takes; every task must be answered."""
        started = time.monotonic()
        answer = self.service.post("/predict", body)
        answer.raise_for_status()
        seconds = time.monotonic() - started
        assert all(answer.json()["results"]), f"{self.name}: a task got no prediction"
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data-dir", type=Path, required=True, help="of a run of benchmarks.learning_http")
    parser.add_argument("--other", type=Path, required=True, help="a checkout of another commit")
    parser.add_argument("--rounds", type=int, default=8, help="at most as many as validation images")
    args = parser.parse_args()
    folder, tasks_file, config_file = SETS[args.set]
    (project,) = (args.data_dir / "projects").iterdir()
    paths = {
        task["id"]: task["data"]["image"]
        for task in json.loads((args.data / folder / tasks_file).read_text())
    }
    val = json.loads((args.data / folder / "splits.json").read_text())["val"]
    body = {"project": project.name, "label_config": (args.data / folder / config_file).read_text()}
    row: dict = {"set": args.set, "images": len(val), "rounds": args.rounds}
    row["command"] = (
        f"python -m benchmarks.predict_beside --data DATA --set {args.set} --data-dir KEPT --other BEFORE "
        f"--rounds {args.rounds}"
    )
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(served(args.data / folder))
        sides = []
        for name, checkout in (("other", args.other.resolve()), ("ours", ROOT)):
            sides.append(Side(name, checkout, args.data_dir, temporary))

        def tasks(marker: str, ids: list[int]) -> list[dict]:
            return [{"id": i, "data": {"image": f"{url}/{paths[i]}?{marker}"}} for i in ids]

        def prompt(marker: str, task_id: int) -> dict:
            height, width = cv2.imread(str(args.data / folder / paths[task_id])).shape[:2]
            click = {
                "id": "p",
                "type": "keypointlabels",
                "from_name": "point",
                "to_name": "image",
                "is_positive": True,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {"x": 50.0, "y": 50.0, "width": 0.5, "keypointlabels": ["Thing"]},
            }
            return {
                "project": "9002.1700000000",
                "label_config": PROMPT_CONFIG,
                "tasks": tasks(marker, [task_id]),
                "params": {"context": {"result": [click]}},
            }

        healthy: dict[str, list[float]] = {side.name: [] for side in sides}
        first: dict[str, list[float]] = {side.name: [] for side in sides}
        for number in range(STARTS):
            for side in sides if number % 2 else sides[::-1]:  # one alone at a time: starting takes all cores
                healthy[side.name].append(side.service.start())
                request = {**body, "tasks": tasks(f"start-{number}", val[:1]), "params": {}}
                first[side.name].append(side.timed(request))
                side.service.stop()
        for side in sides:
            side.service.start()
            stack.callback(side.service.stop)
        for side in sides:
            side.timed({**body, "tasks": tasks("warm", val[:1]), "params": {}})
            side.timed(prompt("warm", val[-1]))
        took: dict[str, list[float]] = {side.name: [] for side in sides}
        prompts: dict[str, list[float]] = {side.name: [] for side in sides}
        for number in range(args.rounds):
            for side in sides if number % 2 else sides[::-1]:
                request = {**body, "tasks": tasks(f"round-{number}", val), "params": {}}
                took[side.name].append(side.timed(request))
                prompts[side.name].append(side.timed(prompt(f"prompt-{number}", val[number])))
    row["healthy_after_s"] = {name: [round(s, 2) for s in values] for name, values in healthy.items()}
    row["first_prediction_s"] = {name: [round(s, 2) for s in values] for name, values in first.items()}
    row["seconds"] = {name: [round(s, 2) for s in values] for name, values in took.items()}
    row["ratio"] = round(
        statistics.median(b / a for a, b in zip(took["ours"], took["other"], strict=True)), 3
    )
    row["first_prompt_ms"] = {
        name: round(1000 * statistics.median(values)) for name, values in prompts.items()
    }
    append_result("predict_beside", row)


if __name__ == "__main__":
    main()
