"""A worker process for tests of the queue: jobs do what their payload says and note each step.

Run as `python -m tests.queue_worker REDIS_URL OUTPUT_FILE`; the queue forgets silent workers after LEASE_S.
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path

from backend.errors import NotEnoughData
from backend.infra.queue.rq_queue import RqJobQueue
from backend.infra.queue.worker import JobEnd, QueueWorker, run_next_job

LEASE_S = 3.0
TICKET_FUNCTION = "tests.queue_worker.run_ticket"


def make_queue(redis_url, job_timeout_s=60):
    return RqJobQueue(redis_url, function=TICKET_FUNCTION, lease_s=LEASE_S, job_timeout_s=job_timeout_s)


def run_ticket(kind):
    queue = make_queue(os.environ["TEST_REDIS_URL"])
    run_next_job(queue, kind, handle)


def handle(record, lease):
    say(f"run {record.payload_path} {os.getpid()} {os.getppid()}")
    match record.payload_path.split(":"):
        case ["sleep", seconds]:
            return sleep(record, lease, float(seconds))
        case ["deaf", seconds]:
            time.sleep(float(seconds))
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["refuse"]:
            raise NotEnoughData("only 1 image has labels, 2 are needed")
        case ["trip"]:
            raise ZeroDivisionError("by nothing")
    return JobEnd("finished", model_version="v1")


def sleep(record, lease, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.02)
        if lease.pause_requested:
            say(f"pause {record.payload_path}")
            return JobEnd("requeue")
        if lease.stop_mode:
            return JobEnd("stopped", details={"stop_mode": lease.stop_mode})
        if lease.is_lost:
            say(f"lost {record.payload_path}")
            return JobEnd("finished", model_version="from the wrong worker")
    lease.confirm()
    return JobEnd("finished", model_version="v1")


def say(line):
    with Path(os.environ["TEST_OUTPUT"]).open("a") as stream:
        stream.write(line + "\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    os.environ["TEST_REDIS_URL"], os.environ["TEST_OUTPUT"] = sys.argv[1:3]
    QueueWorker(["train", "predict"], sys.argv[1], make_queue(sys.argv[1]), recover_every_s=1).work()
