"""What RQ does by itself where our queue keeps records and leases of its own.

python -m benchmarks.rq_alone

Every situation is one that a test of `tests/infra/queue` provokes for our queue. RQ gets what speaks for it:
retries, a heartbeat as short as our lease in those tests, one running job per project, unique job ids.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis as redis_client
import rq
from rq import Queue, RateLimit, Retry, Worker
from rq.exceptions import DuplicateJobError
from rq.job import Job

from benchmarks.live_service import append_result
from harness.process_tree import descendants, kill
from harness.redis_process import RedisProcess

LEASE_S = 3
PRESSES = 8


class QuickWorker(Worker):
    """A worker that gives an execution up after LEASE_S of silence, not after RQ's least of 60 s."""

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return LEASE_S


def work(name: str, seconds: float, journal: str) -> str:
    """Note that the job runs, take a while, and return who ran it."""
    owner = str(os.getppid())
    with Path(journal).open("a") as stream:
        stream.write(f"{name} {time.time():.3f} {owner}\n")
    time.sleep(seconds)
    return owner


class Stage:
    """A Redis, a queue, a journal of what ran, and worker processes."""

    def __init__(self, folder: Path, redis: RedisProcess) -> None:
        self.redis, self.journal = redis, folder / "journal"
        self.queue = Queue("train", connection=redis_client.Redis.from_url(redis.url))
        self.workers: list[subprocess.Popen[bytes]] = []

    def enqueue(self, name: str, seconds: float, **options: Any) -> Job:
        arguments = (name, seconds, str(self.journal))
        return self.queue.enqueue("benchmarks.rq_alone.work", args=arguments, **options)

    def start_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.rq_alone", "worker", self.redis.url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.workers.append(process)
        return process

    def runs(self) -> list[list[str]]:
        """Return (job, time, process id of the worker) of every run so far."""
        return (
            [line.split() for line in self.journal.read_text().splitlines()] if self.journal.exists() else []
        )

    def wait_for_runs(self, count: int, within_s: float = 60) -> bool:
        return wait_for(lambda: len(self.runs()) >= count, within_s)

    def end(self) -> None:
        for process in self.workers:
            kill(*descendants(process.pid), process.pid)
            process.wait()


def wait_for(is_so: Callable[[], bool], within_s: float) -> bool:
    """Tell whether it became so in time."""
    until = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def frozen_machine(stage: Stage) -> dict[str, Any]:
    """A worker falls silent, another takes the job over, the first one comes back."""
    job = stage.enqueue("a", 4, retry=Retry(max=2))
    first = stage.start_worker()
    stage.wait_for_runs(1)
    family = [first.pid, *descendants(first.pid)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    frozen_at = time.monotonic()
    stage.start_worker()
    taken = stage.wait_for_runs(2)
    taken_after_s = time.monotonic() - frozen_at
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: len(job.results()) >= 2, 20)
    ends = [str(result.return_value) for result in job.results()]
    return {
        "taken_over": taken,
        "taken_over_after_s": round(taken_after_s, 1),
        "ends_accepted": len(ends),
        "end_of_the_silent_worker_accepted": str(first.pid) in ends,
    }


def redis_away_at_the_end(stage: Stage) -> dict[str, Any]:
    """A job of 3 s ends while Redis is away; Redis comes back with its data."""
    job = stage.enqueue("a", 3, retry=Retry(max=2))
    stage.start_worker()
    stage.wait_for_runs(1)
    time.sleep(1.2)
    stage.redis.stop()
    time.sleep(4)
    stage.redis.start()
    worker_survived = stage.workers[0].poll() is None
    stage.start_worker()  # as a supervisor would
    wait_for(lambda: job.get_status() == "finished", 30)
    return {
        "worker_survived": worker_survived,
        "status": str(job.get_status().value),
        "runs": len(stage.runs()),
    }


def turns_of_projects(stage: Stage) -> dict[str, Any]:
    """Three jobs of one project come before one of another; then two jobs of one project meet two workers."""
    for limited in (False, True):
        for project, name in (("1", "big-0"), ("1", "big-1"), ("1", "big-2"), ("2", "small")):
            limit = {"rate_limit": RateLimit(f"project-{project}", 1)} if limited else {}
            stage.enqueue(f"{name}{'-limited' if limited else ''}", 0.1, **limit)
    stage.start_worker()
    stage.wait_for_runs(8)
    names = [run[0] for run in stage.runs()]
    stage.start_worker()
    for name in ("x", "y"):
        stage.enqueue(name, 1.5, rate_limit=RateLimit("project-1", 1))
    stage.wait_for_runs(10)
    began = {run[0]: float(run[1]) for run in stage.runs()}
    return {
        "order": [name for name in names if "limited" not in name],
        "order_with_limit": [name.removesuffix("-limited") for name in names if "limited" in name],
        "two_jobs_of_a_project_side_by_side_with_limit": abs(began["y"] - began["x"]) < 1,
    }


def pressed_by_replicas(stage: Stage) -> dict[str, Any]:
    """Eight replicas press Start Training at once, and once more while the training runs."""

    def press(made: list[str], **options: Any) -> None:
        try:
            made.append(stage.enqueue("a", 2, **options).id)
        except (DuplicateJobError, ValueError) as exc:
            made.append(type(exc).__name__)

    def press_all(**options: Any) -> list[str]:
        made: list[str] = []
        threads = [threading.Thread(target=press, args=(made,), kwargs=options) for _ in range(PRESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return made

    limit = RateLimit("project-7", 1)
    both = press_all(job_id="both", unique=True, rate_limit=limit)
    limited = press_all(rate_limit=limit)
    unique = press_all(job_id="train-7", unique=True)
    stage.start_worker()
    wait_for(lambda: Job.fetch("train-7", connection=stage.queue.connection).is_started, 60)
    again = press_all(job_id="train-7", unique=True)
    return {
        "jobs_made_with_limit": len(set(limited)),
        "jobs_made_with_unique_id": len(set(unique) - {"DuplicateJobError"}),
        "unique_with_limit": sorted(set(both)),
        "follow_ups_made_while_it_runs": len(set(again) - {"DuplicateJobError"}),
    }


def two_writers_of_meta(stage: Stage) -> dict[str, Any]:
    """The web process asks a job to stop while its worker reports progress, both through `job.meta`."""
    job_id = stage.enqueue("a", 0).id
    web, worker = (Job.fetch(job_id, connection=stage.queue.connection) for _ in range(2))
    web.meta["stop_mode"] = "keep"
    worker.meta["progress"] = 0.5
    web.save_meta()
    worker.save_meta()
    return {"left": sorted(Job.fetch(job_id, connection=stage.queue.connection).get_meta())}


SITUATIONS = (
    frozen_machine,
    redis_away_at_the_end,
    turns_of_projects,
    pressed_by_replicas,
    two_writers_of_meta,
)


def main() -> int:
    """Provoke every situation, and append what happened to benchmarks/results/rq_alone.jsonl."""
    if sys.argv[1:2] == ["worker"]:
        connection = redis_client.Redis.from_url(sys.argv[2])
        QuickWorker(
            ["train"], connection=connection, job_monitoring_interval=1, maintenance_interval=1, worker_ttl=2
        ).work()
        return 0
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for situation in SITUATIONS:
        with tempfile.TemporaryDirectory() as folder, RedisProcess(Path(folder) / "redis") as redis:
            stage = Stage(Path(folder), redis)
            try:
                append_result(
                    "rq_alone", {"rq": rq.VERSION, "situation": situation.__name__, **situation(stage)}
                )
            finally:
                stage.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
