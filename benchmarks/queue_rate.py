"""Jobs per minute with 1, 2 and 4 workers on tiny trainings, and what the queue itself costs per job.

python -m benchmarks.queue_rate [--jobs 24] [--workers 1 2 4]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from backend.infra.queue.rq_queue import RqJobQueue
from benchmarks.live_service import append_result, image_server, percentile, start_training
from harness.redis_process import RedisProcess
from harness.service_process import ServiceProcess

TINY = {
    "backbone": "test_resnet",
    "epochs": 1,
    "image_size": 224,
    "pretrained": False,
    "enable_segmentation": False,
}


def queue_milliseconds(folder: Path, jobs: int) -> float:
    """Return the milliseconds that queueing, claiming and ending one job cost, without any work in it."""
    with RedisProcess(folder) as redis:
        queue = RqJobQueue(redis.url)
        began = time.monotonic()
        for number in range(jobs):
            queue.enqueue("predict", f"{number % 100}", "jobs/none/request.json")
        for _ in range(jobs):
            record = queue.claim_next("predict", "benchmark")
            assert record is not None
            queue.end(record.job_id, "benchmark", status="finished")
        return 1000 * (time.monotonic() - began) / jobs


def jobs_per_minute(folder: Path, tasks: list[dict], workers: int, jobs: int) -> dict[str, float]:
    """Return the rate for tiny trainings of as many projects, and the wait of a job for an idle worker."""
    with ServiceProcess(
        folder, TRAIN_WORKERS=str(workers), PREDICT_WORKERS="0", OMP_NUM_THREADS="1", KEEP_VERSIONS="1"
    ) as service:
        service.wait_for_job(start_training(service, "1.1700000000", tasks, TINY))
        began = time.monotonic()
        ids = [start_training(service, f"{number}.1700000000", tasks, TINY) for number in range(2, jobs + 2)]
        ended = [service.wait_for_job(job_id) for job_id in ids]
        seconds = time.monotonic() - began
        failed = [status for status in ended if status["job_status"] != "finished"]
        if failed:
            raise RuntimeError(f"{len(failed)} jobs did not finish, the first: {failed[0].get('error')}")
        alone = []
        for number in range(jobs + 2, jobs + 7):
            status = service.wait_for_job(start_training(service, f"{number}.1700000000", tasks, TINY))
            started, created = (datetime.fromisoformat(status[name]) for name in ("started_at", "created_at"))
            alone.append((started - created).total_seconds())
    return {"jobs_per_minute": round(60 * jobs / seconds, 1), "wait_p50_s": round(percentile(alone, 0.5), 3)}


def main() -> int:
    """Measure, and append the figures to benchmarks/results/queue_rate.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, image_server(Path(folder) / "images", 2) as (_, tasks):
        overhead_ms = queue_milliseconds(Path(folder) / "redis", 1000)
        for workers in options.workers:
            figures = jobs_per_minute(Path(folder) / f"data-{workers}", tasks, workers, options.jobs)
            append_result(
                "queue_rate", {"workers": workers, "queue_ms_per_job": round(overhead_ms, 2), **figures}
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
