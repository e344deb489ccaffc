"""Train and score through HTTP, as a user gets it, with a peer's seconds taken in the same run.

    python -m benchmarks.learning_http --data DATA --set bccd [--first 10] [--params '{"pretrained": false}']
        [--peer-python .venv-peers/bin/python [--peer-epochs 2]]

DATA holds the folders named in `benchmarks.learning.SETS`. The peer (YOLO11n, YOLO11n-seg or a U-Net, by set)
trains on the same images first: all its 50 epochs, and is scored like ours; or --peer-epochs (2 or more),
whose pace is scaled to 50. Appends one line to benchmarks/results/learning_http.jsonl; --out also keeps the
predictions as Label Studio JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from benchmarks.data_sets import SETS, load_samples
from benchmarks.learning import score
from benchmarks.live_service import append_result, resident_bytes
from harness.service_process import HOST, ServiceProcess, free_port

PEERS = {
    "bccd": ["yolo.py"],
    "rectangle": ["yolo.py"],
    "polygon": ["yolo.py", "--kind", "segment"],
    "brush": ["unet.py"],
    "cell-areas": ["unet.py"],
    "people-area": ["unet.py"],
}


def train_peer(args: argparse.Namespace) -> dict:
    """Train the set's peer on the same images; return what it printed, and its scores after all epochs.

    The U-Net scores itself (it has no objects); YOLO's predictions are read like ours.
    """
    folder, tasks, _ = SETS[args.set]
    script, *flags = PEERS[args.set]
    out = Path(tempfile.mkdtemp())
    command = [args.peer_python, str(Path(__file__).parent / "peers" / script), *flags]
    command += ["--data", str(args.data / folder), "--tasks", tasks]
    if args.first:
        command += ["--first", str(args.first)]
    if args.peer_epochs:
        command += ["--time-epochs", str(args.peer_epochs)]
    if script == "yolo.py":
        command += ["--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row = json.loads(done.stdout.strip().splitlines()[-1])
    if args.peer_epochs or script != "yolo.py":
        return row
    samples, config, _ = load_samples(args.data, args.set, "val")
    labels = tuple(config.labels)
    by_task = {p["task"]: with_ids(p) for p in json.loads((out / "predictions.json").read_text())}
    found = [to_detections(by_task[sample.task_id], sample, config, labels) for sample in samples]
    return {**row, **score(found, samples, len(labels), "segment" in flags)}


def with_ids(prediction: dict) -> dict:
    """Return a peer's prediction with the region ids that Label Studio would give it."""
    return {**prediction, "result": [{"id": str(k), **r} for k, r in enumerate(prediction["result"])]}


def to_detections(prediction: dict | list, sample, config, labels) -> Detections:
    """Read a Label Studio prediction back as detections, best score first; none where it is `[]`."""
    size: ImageSize = sample.target.size
    regions = prediction["result"] if prediction else []
    task = {"id": 1, "data": {"image": "x"}, "annotations": [{"id": 1, "result": regions}]}
    target = build_target(annotated_task(task, config).pages[0].regions, labels, size).target
    by_id = {region["id"]: region["score"] for region in regions}
    scores = np.array([by_id[i] for i in target.region_ids], np.float32)
    order = np.argsort(-scores)
    return Detections(
        size,
        target.boxes_xyxy_px[order],
        scores[order],
        target.label_indices[order],
        tuple(target.masks[k] for k in order),
        image_score=float(prediction["score"]) if prediction else 0.0,
    )


def command_of(args: argparse.Namespace) -> str:
    """Return the command that gives this row again, whatever the folders were called here."""
    words = ["python -m benchmarks.learning_http --data DATA --set", args.set]
    if args.first:
        words += ["--first", str(args.first)]
    if json.loads(args.params) != {"pretrained": False}:
        words += ["--params", f"'{args.params}'"]
    if args.peer_python:
        words += ["--peer-python .venv-peers/bin/python"]
    if args.peer_python and args.peer_epochs:
        words += ["--peer-epochs", str(args.peer_epochs)]
    return " ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--first", type=int)
    parser.add_argument("--params", default='{"pretrained": false}')
    parser.add_argument("--peer-python")
    parser.add_argument("--peer-epochs", type=int, help="only so many of the peer's 50 epochs, for its pace")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data-dir", type=Path, help="keep the service's data here")
    args = parser.parse_args()

    folder, tasks_file, config_file = SETS[args.set]
    xml = (args.data / folder / config_file).read_text()
    config = parse_label_config(xml)
    labels = tuple(config.labels)
    splits = json.loads((args.data / folder / "splits.json").read_text())
    train_ids = set(splits["train100"][: args.first])
    row: dict = {"set": args.set, "images": len(train_ids), "params": json.loads(args.params)}
    row["command"] = command_of(args)
    if args.peer_python:
        row["peer"] = train_peer(args)

    port = free_port()
    images = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", args.data / folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    data_dir = args.data_dir or Path(tempfile.mkdtemp()) / "data"
    try:
        with ServiceProcess(data_dir) as service:
            tasks = json.loads((args.data / folder / tasks_file).read_text())
            for task in tasks:
                task["data"]["image"] = f"http://{HOST}:{port}/{task['data']['image']}"
            by_id = {task["id"]: task for task in tasks}
            body = {"project": f"9001.{int(time.time())}", "label_config": xml}
            started = time.monotonic()
            annotations = [task for task in tasks if task["id"] in train_ids]
            params = json.loads(args.params)
            answer = service.post("/train", {**body, "annotations": annotations, "params": params})
            answer.raise_for_status()
            status = service.wait_for_job(answer.json()["job"], within_s=3600)
            row["train_seconds"] = round(time.monotonic() - started, 1)
            if status["job_status"] != "finished":
                raise SystemExit(f"the training {status['job_status']}: {status.get('error')}")
            (card,) = data_dir.glob("projects/*/versions/*/card.json")
            told = json.loads(card.read_text())
            row.update({key: told[key] for key in ("start", "epochs_run", "best_epoch", "images_seen")})
            row["resident_gib"] = {k: round(v / 2**30, 2) for k, v in resident_bytes(service).items()}
            val = [{"id": i, "data": by_id[i]["data"]} for i in splits["val"]]
            started = time.monotonic()
            service.post("/predict", {**body, "tasks": val[:1]}).raise_for_status()
            row["first_prediction_s"] = round(time.monotonic() - started, 2)
            answers = {}
            for name, threshold in (("at_default", {}), ("at_0.01", {"confidence_threshold": 0.01})):
                started = time.monotonic()
                answer = service.post("/predict", {**body, "tasks": val, "params": threshold})
                answer.raise_for_status()
                row[f"images_per_s_{name}"] = round(len(val) / (time.monotonic() - started), 2)
                answers[name] = answer.json()["results"]
            row["load_average"] = round(os.getloadavg()[1], 1)
            row["activation"] = status.get("activation_reason")
    finally:
        images.terminate()
        images.wait(10)
    samples, _, _ = load_samples(args.data, args.set, "val")
    wide = [to_detections(p, s, config, labels) for p, s in zip(answers["at_0.01"], samples, strict=True)]
    has_masks = args.set not in ("bccd", "rectangle")
    row.update(score(wide, samples, len(labels), has_masks))
    row["missing"] = sum(not p for p in answers["at_0.01"])
    if args.out:
        listed = [{"task": i, **p} for i, p in zip(splits["val"], answers["at_0.01"], strict=True) if p]
        args.out.write_text(json.dumps(listed))
    append_result("learning_http", row)


if __name__ == "__main__":
    main()
