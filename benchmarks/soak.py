"""Many predictions and trainings in one life of the service: does memory, do files stay where they were?

    python -m benchmarks.soak [--predictions 10000] [--trainings 20]

Wanted: after a warm-up of a quarter (the last four versions stay in memory), resident memory of web and
worker within 2 %, no more open files, no more files in the temporary folder. The networks are small and learn
boxes only, since what may leak is around them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.live_service import (
    append_result,
    image_server,
    open_files,
    predict,
    resident_bytes,
    train_and_wait,
)
from harness.service_process import ServiceProcess

PROJECT = "1.1700000000"
TRAINING = {
    "backbone": "test_resnet",
    "epochs": 1,
    "image_size": 224,
    "pretrained": False,
    "enable_segmentation": False,
}
WARM_UP_SHARE = 0.25
IMAGES = 40
PER_REQUEST = 20


def main() -> int:
    """Measure, and append the figures to benchmarks/results/soak.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--trainings", type=int, default=20)
    options = parser.parse_args()
    samples: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        image_server(Path(folder) / "images", IMAGES) as (urls, tasks),
    ):
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        with ServiceProcess(Path(folder) / "data", TMPDIR=str(temporary), OMP_NUM_THREADS="1") as service:
            per_training = max(PER_REQUEST, options.predictions // options.trainings)
            done = 0
            for _ in range(options.trainings):
                train_and_wait(service, PROJECT, tasks[:8], TRAINING)
                for start in range(0, per_training, PER_REQUEST):
                    numbers = [(start + offset) % IMAGES for offset in range(PER_REQUEST)]
                    entries = predict(service, PROJECT, {number + 1: urls[number] for number in numbers})
                    assert all(entries), "a task came back without a prediction"
                    done += len(entries)
                samples.append(
                    {
                        "predictions": done,
                        "resident_bytes": resident_bytes(service),
                        "open_files": open_files(service),
                        "temporary_files": sum(1 for _ in temporary.rglob("*")),
                    }
                )
    warm = samples[max(1, int(WARM_UP_SHARE * len(samples))) :]
    growth = {
        role: round(warm[-1]["resident_bytes"][role] / warm[0]["resident_bytes"][role] - 1, 4)
        for role in warm[0]["resident_bytes"]
        if role in warm[-1]["resident_bytes"]
    }
    more_files = {role: warm[-1]["open_files"][role] - warm[0]["open_files"][role] for role in growth}
    append_result(
        "soak",
        {
            "predictions": done,
            "trainings": options.trainings,
            "memory_growth_after_warm_up": growth,
            "more_open_files": more_files,
            "temporary_files": [warm[0]["temporary_files"], warm[-1]["temporary_files"]],
            "samples": samples,
        },
    )
    is_flat = (
        max(growth.get("web", 0), growth.get("worker", 0)) <= 0.02
        and max(more_files.values()) <= 0
        and warm[-1]["temporary_files"] <= warm[0]["temporary_files"]
    )
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
