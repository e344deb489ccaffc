"""64 clients that ask one after the other, each for its own 640 x 480 image, alone, then beside a training.

    python -m benchmarks.load [--minutes 5] [--idle-minutes 1] [--clients 64]

Wanted: every reply carries a prediction; at least half the throughput of the idle machine;
/health under 1 s and /setup under 3 s at most; the webhook's 99th percentile under 100 ms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests

from benchmarks.live_service import (
    CONFIG,
    append_result,
    image_server,
    percentile,
    predict,
    start_training,
    train_and_wait,
)
from harness.service_process import ServiceProcess

PROJECT, OTHER_PROJECT = "1.1700000000", "2.1700000000"
# What the model has learned does not matter here, only that it answers.
FIRST_TRAINING = {"epochs": 4, "pretrained": False}
FIRST_TASKS = 8
# Longer than the measurement, with everything else at its default.
LONG_TRAINING = {"epochs": 500, "pretrained": False}


@dataclass
class Phase:
    """What was seen while the clients asked; seconds each."""

    predict_s: list[float] = field(default_factory=list)
    empty: int = 0
    failed: int = 0
    probes_s: dict[str, list[float]] = field(
        default_factory=lambda: {"health": [], "setup": [], "webhook": []}
    )
    seconds: float = 0.0

    @property
    def images_per_s(self) -> float:
        """Images predicted per second."""
        return len(self.predict_s) / self.seconds


def run_phase(service: ServiceProcess, urls: list[str], seconds: float) -> Phase:
    """Let one client per image ask for that long, and probe the quick routes meanwhile."""
    phase, lock = Phase(), threading.Lock()
    until = time.monotonic() + seconds

    def client(index: int) -> None:
        own = ServiceProcess(service.data_dir, port=service.port)
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                (entry,) = predict(own, PROJECT, {index + 1: urls[index]})
            except (requests.RequestException, ValueError):
                with lock:
                    phase.failed += 1
                continue
            with lock:
                phase.predict_s.append(time.monotonic() - began)
                phase.empty += entry == []

    def probe(name: str, call: Callable[[], requests.Response], every_s: float) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = call()
            took = time.monotonic() - began
            with lock:
                phase.probes_s[name].append(took if answer.ok else float("inf"))
            time.sleep(max(0.0, every_s - took))

    def session() -> ServiceProcess:
        return ServiceProcess(service.data_dir, port=service.port)

    setup = {"project": PROJECT, "schema": CONFIG, "hostname": "", "access_token": "", "extra_params": None}
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 1}, "task": {"id": 1}, "annotation": {"id": 1}}
    probes = [
        ("health", partial(session().get, "/health"), 0.2),
        ("setup", partial(session().post, "/setup", setup), 1.0),
        ("webhook", partial(session().post, "/webhook", event), 0.25),
    ]
    threads = [threading.Thread(target=client, args=(index,)) for index in range(len(urls))]
    threads += [threading.Thread(target=probe, args=arguments) for arguments in probes]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    phase.seconds = time.monotonic() - began
    return phase


def main() -> int:
    """Measure, and append the figures to benchmarks/results/load.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--idle-minutes", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        image_server(Path(folder) / "images", options.clients) as (urls, tasks),
        ServiceProcess(Path(folder) / "data") as service,
    ):
        train_and_wait(service, PROJECT, tasks[:FIRST_TASKS], FIRST_TRAINING)
        predict(service, PROJECT, {1: urls[0]})  # the model is loaded, once
        idle = run_phase(service, urls, 60 * options.idle_minutes)
        job_id = start_training(service, OTHER_PROJECT, tasks, LONG_TRAINING)
        service.wait_for(lambda: service.job(job_id)["job_status"] == "started", "the training", within_s=60)
        busy = run_phase(service, urls, 60 * options.minutes)
        during = service.job(job_id)
        service.post("/stop", {"job": job_id, "keep": False})
    figures = {
        "clients": options.clients,
        "minutes": options.minutes,
        "idle_images_per_s": round(idle.images_per_s, 2),
        "images_per_s": round(busy.images_per_s, 2),
        "share_of_idle": round(busy.images_per_s / idle.images_per_s, 3),
        "replies": len(busy.predict_s),
        "empty_replies": idle.empty + busy.empty,
        "failed_requests": idle.failed + busy.failed,
        "predict_p50_s": round(percentile(busy.predict_s, 0.5), 3),
        "predict_max_s": round(max(busy.predict_s), 3),
        "health_max_s": round(max(busy.probes_s["health"]), 3),
        "setup_max_s": round(max(busy.probes_s["setup"]), 3),
        "webhook_p99_s": round(percentile(busy.probes_s["webhook"], 0.99), 4),
        "training_epochs_meanwhile": during["progress"].get("epoch"),
    }
    append_result("load", figures)
    is_good = (
        figures["share_of_idle"] >= 0.5
        and not figures["empty_replies"]
        and not figures["failed_requests"]
        and figures["health_max_s"] < 1
        and figures["setup_max_s"] < 3
        and figures["webhook_p99_s"] < 0.1
    )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
