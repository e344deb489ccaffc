import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.infra.queue.rq_queue import LeaseLost
from backend.infra.queue.worker import JobEnd, run_next_job
from backend.service.ports import WorkerState
from tests.queue_worker import LEASE_S, make_queue

ROOT = Path(__file__).resolve().parents[3]


class Workers:
    """Worker processes on one Redis, all ended with the test."""

    def __init__(self, redis_url, output):
        self.redis_url, self.output, self.processes = redis_url, output, []

    def start(self):
        log = self.output.with_suffix(".log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.queue_worker", self.redis_url, str(self.output)],
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def lines(self, start=""):
        text = self.output.read_text() if self.output.exists() else ""
        return [line for line in text.splitlines() if line.startswith(start)]

    def end(self):
        for line in self.lines("run"):
            kill(int(line.split()[2]))
        for process in self.processes:
            process.kill()
            process.wait()


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_for(claim, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def workers(redis_url, tmp_path):
    workers = Workers(redis_url, tmp_path / "output")
    yield workers
    workers.end()


@pytest.fixture
def queue(redis_url):
    return make_queue(redis_url)


def test_jobs_end_as_they_should(workers, queue):
    workers.start()
    ends = {name: queue.enqueue("predict", "7", name) for name in ("fine", "refuse", "trip", "die")}
    wait_for(lambda: all(queue.record(job_id).ended_at for job_id in ends.values()), 30)
    records = {name: queue.record(job_id) for name, job_id in ends.items()}
    assert (records["fine"].status, records["fine"].model_version) == ("finished", "v1")
    assert records["refuse"].error == "only 1 image has labels, 2 are needed"
    assert "ZeroDivisionError" in records["trip"].error and "Traceback" not in records["trip"].error
    assert "killed by signal 9" in records["die"].error and records["die"].status == "failed"
    assert len(workers.lines("run die")) == 3, "once, and picked up at most twice"


def test_sigterm_pauses_the_job_and_another_worker_goes_on(workers, queue):
    first = workers.start()
    job_id = queue.enqueue("train", "7", "sleep:20")
    wait_for(lambda: workers.lines("run"))
    started = time.monotonic()
    first.terminate()
    assert first.wait(10) == 0 and time.monotonic() - started < 5
    assert workers.lines("pause") and queue.record(job_id).status == "queued"
    assert "pickups" not in queue.record(job_id).details, "a pause is no crash"
    workers.start()
    wait_for(lambda: len(workers.lines("run")) == 2)


def test_a_killed_worker_takes_its_job_down_and_another_goes_on(workers, queue):
    first = workers.start()
    job_id = queue.enqueue("train", "7", "sleep:20")
    wait_for(lambda: workers.lines("run"))
    first.kill()
    horse = int(workers.lines("run")[0].split()[2])
    wait_for(lambda: queue.record(job_id).status == "queued")
    wait_for(lambda: not kill(horse, 0))
    workers.start()
    wait_for(lambda: len(workers.lines("run")) == 2)


def test_a_machine_that_is_gone_loses_its_job_within_the_lease(workers, queue):
    first = workers.start()
    job_id = queue.enqueue("train", "7", "sleep:2")
    wait_for(lambda: workers.lines("run"))
    horse = int(workers.lines("run")[0].split()[2])
    for process in (first.pid, horse):
        os.kill(process, signal.SIGSTOP)  # frozen, so that nothing can even say goodbye
    workers.start()
    gone_at = time.monotonic()
    wait_for(lambda: len(workers.lines("run")) == 2)
    assert LEASE_S - 1 < time.monotonic() - gone_at < LEASE_S + 5
    wait_for(lambda: queue.record(job_id).status == "finished")
    for process in (first.pid, horse):
        os.kill(process, signal.SIGCONT)  # it comes back and finds its job taken
    wait_for(lambda: not kill(horse, 0))
    record = queue.record(job_id)
    assert (record.model_version, record.details["pickups"]) == ("v1", 1)


def test_a_running_job_learns_that_it_is_to_stop(workers, queue):
    workers.start()
    job_id = queue.enqueue("train", "7", "sleep:20")
    wait_for(lambda: workers.lines("run"))
    queue.request_stop(job_id, mode="keep")
    wait_for(lambda: queue.record(job_id).status == "stopped")
    assert queue.record(job_id).details["stop_mode"] == "keep"


def test_a_job_over_its_time_limit_fails_saying_so(workers, redis_url):
    queue = make_queue(redis_url, job_timeout_s=1)
    workers.start()
    job_id = queue.enqueue("train", "7", "deaf:20")
    wait_for(lambda: queue.record(job_id).ended_at)
    assert queue.record(job_id).status == "failed" and "JOB_TIMEOUT_S" in queue.record(job_id).error


def test_a_job_goes_on_while_redis_is_away_and_its_end_is_told_later(tmp_path):
    with EmbeddedRedis(tmp_path / "redis") as server:
        workers = Workers(server.url, tmp_path / "output")
        try:
            workers.start()
            queue = make_queue(server.url)
            job_id = queue.enqueue("train", "7", "deaf:3")
            wait_for(lambda: workers.lines("run"))
            time.sleep(1.2)
            server.kill()
            time.sleep(3)
            server.start()
            wait_for(lambda: queue.record(job_id).ended_at)
            assert queue.record(job_id).status == "finished"
            assert len(workers.lines("run")) == 1, "nobody else took it"
        finally:
            workers.end()


def test_two_workers_share_the_work(workers, queue):
    workers.start(), workers.start()
    for _ in range(2):
        queue.enqueue("predict", "7", "sleep:1.5")
    wait_for(lambda: len(workers.lines("run")) == 2)
    assert queue.worker_state() == WorkerState(workers=2, busy=2, waiting=0)
    parents = {line.split()[3] for line in workers.lines("run")}
    assert len(parents) == 2


class TestInProcess:
    def test_nothing_to_do(self, queue):
        assert run_next_job(queue, "train", lambda record, lease: JobEnd("finished")) is None

    def test_publishing_waits_while_redis_is_away(self, tmp_path):
        is_told = threading.Event()
        with EmbeddedRedis(tmp_path / "redis") as server:

            def come_back():
                time.sleep(2.0)
                server.start()
                is_told.wait(30.0)  # a Redis ends with the thread that started it

            queue = make_queue(server.url)
            job_id = queue.enqueue("train", "7", "p")
            helper = threading.Thread(target=come_back)

            def publish(record, lease):
                server.kill()
                helper.start()
                lease.confirm()
                return JobEnd("finished", model_version="v1")

            assert run_next_job(queue, "train", publish) == job_id
            assert queue.record(job_id).model_version == "v1"
            is_told.set()
            helper.join()

    def test_what_a_lost_job_computed_is_dropped(self, queue):
        job_id = queue.enqueue("train", "7", "p")

        def lose(record, lease):
            queue.put_back(record.job_id, lease.owner)
            with pytest.raises(LeaseLost):
                lease.confirm()
            return JobEnd("finished", model_version="wrong")

        assert run_next_job(queue, "train", lose) == job_id
        assert queue.record(job_id).status == "queued" and queue.record(job_id).model_version is None
