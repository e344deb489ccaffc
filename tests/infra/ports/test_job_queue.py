"""What every JobQueue does: the one on Redis, and the fake that the tests of the service use."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from backend.errors import ConflictError, NotFoundError
from backend.infra.queue.rq_queue import RqJobQueue
from backend.service.ports import WorkerState
from tests.fakes.queue import FakeQueue


class RealWorker:
    """Takes and ends jobs of the queue on Redis."""

    def __init__(self, queue):
        self._queue = queue

    def take(self, kind):
        record = self._queue.claim_next(kind, "worker")
        return record and record.job_id

    def end(self, job_id, status, **fields):
        self._queue.end(job_id, "worker", status=status, **fields)


class FakeWorker:
    """Takes and ends jobs of the fake queue, as tests of the service do by hand."""

    def __init__(self, queue):
        self._queue = queue

    def take(self, kind):
        job_id = self._queue.next_waiting(kind)
        if job_id is not None:
            self._queue.start(job_id)
        return job_id

    def end(self, job_id, status, **fields):
        ended = replace(self._queue.record(job_id), status=status, ended_at=time.time(), **fields)
        self._queue.jobs[job_id] = ended


@pytest.fixture(params=["redis", "fake"])
def queue(request):
    return RqJobQueue(request.getfixturevalue("redis_url")) if request.param == "redis" else FakeQueue()


@pytest.fixture
def worker(queue):
    return FakeWorker(queue) if isinstance(queue, FakeQueue) else RealWorker(queue)


def press(queue, key="7", *, follow_up=True):
    return queue.enqueue_training(key, "request.json", follow_up=follow_up)


def test_a_job_from_queued_to_finished(queue, worker):
    job_id = queue.enqueue("predict", "7.1", "jobs/a/request.json")
    record = queue.record(job_id)
    assert (record.kind, record.project_key, record.status) == ("predict", "7.1", "queued")
    assert record.payload_path == "jobs/a/request.json" and record.created_at is not None
    assert (record.progress, record.details, record.error, record.model_version) == ({}, {}, None, None)
    assert worker.take("train") is None and worker.take("predict") == job_id
    assert queue.record(job_id).status == "started" and queue.record(job_id).started_at is not None
    worker.end(job_id, "finished", model_version="v1")
    assert (queue.record(job_id).status, queue.record(job_id).model_version) == ("finished", "v1")
    assert queue.record(job_id).ended_at is not None


def test_a_job_that_is_to_be_alone_is_refused_until_the_other_one_ends(queue, worker):
    first = queue.enqueue("look", "7", "a.json", alone=True)
    for _ in ("queued", "started"):
        with pytest.raises(ConflictError, match="already") as refused:
            queue.enqueue("look", "7", "b.json", alone=True)
        assert refused.value.job_id == first
        worker.take("look")
    others = [("look", "8"), ("accept", "7")]
    assert [queue.record(queue.enqueue(*other, "c.json", alone=True)).status for other in others]
    worker.end(first, "failed")
    second = queue.enqueue("look", "7", "d.json", alone=True)
    queue.request_stop(second, mode="discard")
    assert queue.enqueue("look", "7", "e.json", alone=True) not in (first, second)


def test_of_many_who_ask_at_once_one_gets_the_job_that_is_alone(queue):
    start = threading.Barrier(8)

    def ask():
        start.wait()
        try:
            return queue.enqueue("look", "7", "a.json", alone=True)
        except ConflictError:
            return None

    with ThreadPoolExecutor(8) as people:
        answers = [one.result() for one in [people.submit(ask) for _ in range(8)]]
    assert [record.job_id for record in queue.records("7")] == [one for one in answers if one is not None]


def test_an_unknown_kind_is_refused(queue):
    with pytest.raises(ValueError, match="kind"):
        queue.enqueue("dance", "7", "p")


@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.record("none"),
        lambda queue: queue.update("none", error="x"),
        lambda queue: queue.request_stop("none", mode="keep"),
        lambda queue: queue.labels_taken("none"),
        lambda queue: queue.resume("none"),
    ],
    ids=["record", "update", "request_stop", "labels_taken", "resume"],
)
def test_an_unknown_job_is_not_found(queue, call):
    with pytest.raises(NotFoundError, match="none"):
        call(queue)


def test_jobs_are_listed_newest_first_and_by_project(queue):
    ids = []
    for key in ("7", "8", "7"):
        ids.append(queue.enqueue("predict", key, "p"))
        time.sleep(0.002)
    assert [job.job_id for job in queue.records()] == ids[::-1]
    assert [job.job_id for job in queue.records("7")] == [ids[2], ids[0]]
    assert [job.job_id for job in queue.records(limit=1)] == [ids[2]]
    assert queue.records("9") == []


def test_what_runs_or_waits_in_a_project_is_listed_however_many_jobs_are_newer(queue, worker):
    queue.enqueue("look", "8", "p")
    assert worker.take("look") is not None  # runs too, in another project
    ended = queue.enqueue("predict", "7", "p")
    worker.take("predict")
    worker.end(ended, "finished")
    first = press(queue)
    queue.labels_taken(first)
    time.sleep(0.002)
    follow_up = press(queue)
    time.sleep(0.002)
    waits = queue.enqueue("rank", "7", "p")
    time.sleep(0.002)
    assert worker.take("train") == first
    newer = []
    for _ in range(3):
        newer.append(queue.enqueue("predict", "7", "p"))
        worker.take("predict")
        worker.end(newer[-1], "finished")
        time.sleep(0.002)
    listed = [job.job_id for job in queue.records("7", limit=2)]
    assert listed == [newer[2], newer[1], waits, follow_up, first]


def test_an_update_merges_details_and_replaces_progress(queue):
    job_id = queue.enqueue("predict", "7", "p")
    queue.update(job_id, details={"a": 1, "b": {"c": [2]}}, progress={"epoch": 1, "loss": 0.5})
    queue.update(job_id, details={"a": 3}, progress={"epoch": 2})
    record = queue.record(job_id)
    assert record.details == {"a": 3, "b": {"c": [2]}} and record.progress == {"epoch": 2}
    with pytest.raises(ValueError, match="status"):
        queue.update(job_id, status="finished")


def test_what_a_caller_changes_afterwards_stays_outside(queue):
    job_id, progress = queue.enqueue("predict", "7", "p"), {"epoch": 1}
    queue.update(job_id, progress=progress)
    progress["epoch"] = 2
    queue.record(job_id).progress["epoch"] = 3
    assert queue.record(job_id).progress == {"epoch": 1}


class TestOneTrainingPerProject:
    def test_a_second_request_is_refused_with_the_job_in_the_way(self, queue):
        first = press(queue, follow_up=False)
        with pytest.raises(ConflictError) as caught:
            press(queue, follow_up=False)
        assert caught.value.job_id == first
        assert press(queue, "8", follow_up=False) != first

    def test_a_request_before_the_labels_are_read_means_the_same_training(self, queue, worker):
        first = press(queue)
        assert press(queue) == first
        worker.take("train")
        assert press(queue) == first

    def test_a_request_after_that_makes_one_follow_up(self, queue, worker):
        first = press(queue)
        worker.take("train")
        queue.labels_taken(first)
        second = press(queue)
        assert second != first and press(queue) == second
        assert queue.record(second).status == "queued"
        assert queue.active_training("7").job_id == first
        assert worker.take("train") is None, "one training of a project at a time"
        worker.end(first, "finished")
        assert queue.active_training("7").job_id == second
        assert worker.take("train") == second
        worker.end(second, "failed", error="why")
        assert queue.active_training("7") is None

    def test_a_waiting_training_that_brings_its_labels_needs_a_follow_up(self, queue):
        first = press(queue, follow_up=False)
        queue.labels_taken(first)
        assert press(queue) != first

    def test_other_kinds_are_no_training(self, queue):
        queue.enqueue("predict", "7", "p")
        assert queue.active_training("7") is None


class TestStopping:
    def test_a_queued_job_stops_at_once(self, queue, worker):
        job_id = press(queue)
        queue.request_stop(job_id, mode="discard")
        assert (queue.record(job_id).status, queue.stop_mode(job_id)) == ("stopped", "discard")
        assert worker.take("train") is None and queue.active_training("7") is None

    def test_a_running_job_is_asked(self, queue, worker):
        job_id = press(queue)
        worker.take("train")
        assert queue.stop_mode(job_id) is None
        queue.request_stop(job_id, mode="keep")
        assert (queue.record(job_id).status, queue.stop_mode(job_id)) == ("started", "keep")

    def test_an_ended_job_stays_as_it_is(self, queue, worker):
        job_id = press(queue)
        worker.take("train")
        worker.end(job_id, "finished")
        queue.request_stop(job_id, mode="discard")
        assert queue.record(job_id).status == "finished" and queue.stop_mode(job_id) is None

    def test_another_mode_is_refused(self, queue):
        with pytest.raises(ValueError, match="mode"):
            queue.request_stop(press(queue), mode="gently")


class TestResuming:
    def test_a_failed_prediction_waits_again_without_its_error(self, queue, worker):
        job_id = queue.enqueue("predict", "7", "p")
        worker.take("predict")
        worker.end(job_id, "failed", error="Label Studio is away")
        queue.resume(job_id)
        record = queue.record(job_id)
        assert (record.status, record.error, record.ended_at) == ("queued", None, None)
        assert worker.take("predict") == job_id

    @pytest.mark.parametrize(("kind", "status"), [("train", "failed"), ("predict", "finished")])
    def test_any_other_stays_as_it_is(self, queue, worker, kind, status):
        job_id = queue.enqueue(kind, "7", "p")
        worker.take(kind)
        worker.end(job_id, status)
        queue.resume(job_id)
        assert queue.record(job_id).status == status


def test_only_jobs_that_a_worker_could_take_are_waiting(queue, worker):
    assert queue.queue_lengths() == {"train": 0, "look": 0, "predict": 0, "accept": 0, "rank": 0}
    first = press(queue)
    queue.enqueue("predict", "7", "p")
    assert queue.queue_lengths() == {"train": 1, "look": 0, "predict": 1, "accept": 0, "rank": 0}
    worker.take("train")
    queue.labels_taken(first)
    press(queue)
    assert queue.queue_lengths() == {"train": 0, "look": 0, "predict": 1, "accept": 0, "rank": 0}, (
        "a follow-up waits for its project, not a worker"
    )
    assert isinstance(queue.worker_state(), WorkerState)
