import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.errors import ConflictError, NotFoundError, QueueError
from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.infra.queue.rq_queue import MAX_PICKUPS, RECORD_TTL_S, LeaseLost, RqJobQueue
from backend.infra.queue.tickets import FAILURE_TTL_S, RESULT_TTL_S, live_worker_count, ticket_count
from backend.service.ports import WorkerState

NO_WAIT_S = 0.0


@pytest.fixture
def queue(redis_url):
    return RqJobQueue(redis_url, lease_s=NO_WAIT_S)


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def claim(queue, kind="train", owner="me:1:a"):
    record = queue.claim_next(kind, owner)
    return record and record.job_id


def test_a_job_goes_from_queued_to_finished(queue):
    job_id = queue.enqueue("predict", "7", "jobs/x/request.json")
    assert queue.record(job_id).status == "queued"
    claimed = queue.claim_next("predict", "me:1:a")
    assert (claimed.job_id, claimed.status, claimed.payload_path) == (
        job_id,
        "started",
        "jobs/x/request.json",
    )
    assert claim(queue, "predict") is None
    queue.update(job_id, progress={"epoch": 3}, details={"warnings": ["ä"]})
    queue.update(job_id, details={"origins": {"epochs": "request"}}, error=None)
    queue.end(job_id, "me:1:a", status="finished", model_version="v1")
    record = queue.record(job_id)
    assert (record.status, record.model_version, record.progress) == ("finished", "v1", {"epoch": 3})
    assert record.details == {"warnings": ["ä"], "origins": {"epochs": "request"}}
    assert record.created_at - 0.1 <= record.started_at <= record.ended_at + 0.1
    assert [job.job_id for job in queue.records("7")] == [job_id]


def test_every_lifetime_is_set(queue, client, redis_url):
    job_id = queue.enqueue("train", "7", "p")
    (ticket_id,) = client.lrange("rq:queue:train", 0, -1)
    with redis.Redis.from_url(redis_url) as raw:
        ticket = Job.fetch(ticket_id, connection=raw, serializer=JSONSerializer)
    assert (ticket.timeout, ticket.result_ttl, ticket.failure_ttl) == (86_400, RESULT_TTL_S, FAILURE_TTL_S)
    assert ticket.ttl is None and client.ttl(f"rq:job:{ticket_id}") == -1
    assert client.ttl(f"lsb:job:{job_id}") == -1
    claim(queue)
    queue.end(job_id, "me:1:a", status="finished")
    assert RECORD_TTL_S - 60 < client.ttl(f"lsb:job:{job_id}") <= RECORD_TTL_S


class TestOneTrainingPerProject:
    def test_a_second_request_is_refused_with_the_job_in_the_way(self, queue):
        first = queue.enqueue_training("7", "p", follow_up=False)
        with pytest.raises(ConflictError, match=first) as caught:
            queue.enqueue_training("7", "p", follow_up=False)
        assert caught.value.job_id == first
        assert queue.active_training("7").job_id == first
        assert queue.active_training("8") is None

    def test_while_one_waits_another_press_means_the_same_one(self, queue):
        first = queue.enqueue_training("7", "p", follow_up=True)
        assert queue.enqueue_training("7", "p", follow_up=True) == first
        claim(queue)
        assert queue.enqueue_training("7", "p", follow_up=True) == first, "its labels are not read yet"

    def test_while_one_runs_exactly_one_follow_up_waits(self, queue):
        first = queue.enqueue_training("7", "p", follow_up=True)
        claim(queue)
        queue.labels_taken(first)
        second = queue.enqueue_training("7", "q", follow_up=True)
        assert second != first
        assert queue.enqueue_training("7", "r", follow_up=True) == second
        assert claim(queue, owner="other") is None, "one training of a project at a time"
        queue.end(first, "me:1:a", status="failed", error="why")
        assert queue.record(first).error == "why"
        assert claim(queue) == second
        queue.end(second, "me:1:a", status="finished")
        assert queue.active_training("7") is None

    def test_a_waiting_job_that_brings_its_own_labels_needs_a_follow_up(self, queue):
        first = queue.enqueue_training("7", "p", follow_up=False)
        queue.labels_taken(first)
        assert queue.enqueue_training("7", "p", follow_up=True) != first

    def test_a_follow_up_can_be_stopped_before_its_turn(self, queue):
        first = queue.enqueue_training("7", "p", follow_up=True)
        claim(queue)
        queue.labels_taken(first)
        second = queue.enqueue_training("7", "p", follow_up=True)
        queue.request_stop(second, mode="discard")
        queue.end(first, "me:1:a", status="finished")
        assert queue.record(second).status == "stopped" and claim(queue) is None

    def test_many_replicas_at_the_same_moment_make_one_job(self, redis_url):
        replicas = [RqJobQueue(redis_url) for _ in range(8)]
        barrier, answers = threading.Barrier(8), []

        def press(replica):
            barrier.wait()
            answers.append(replica.enqueue_training("7", "p", follow_up=True))

        threads = [threading.Thread(target=press, args=(replica,)) for replica in replicas]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 8 and len(set(answers)) == 1
        assert len(replicas[0].records()) == 1


def test_projects_take_turns(queue):
    for number in range(3):
        queue.enqueue("predict", "1", f"big-{number}")
    queue.enqueue("predict", "2", "small")
    order = [queue.claim_next("predict", f"w{n}").payload_path for n in range(4)]
    assert order == ["big-0", "small", "big-1", "big-2"]


def test_kinds_do_not_block_each_other(queue):
    queue.enqueue_training("7", "t", follow_up=False)
    queue.enqueue("predict", "7", "p")
    lengths = queue.queue_lengths()
    assert (lengths["train"], lengths["predict"]) == (1, 1)
    assert queue.claim_next("predict", "w").payload_path == "p"


class TestStopping:
    def test_a_queued_job_stops_at_once(self, queue):
        job_id = queue.enqueue_training("7", "p", follow_up=False)
        queue.request_stop(job_id, mode="keep")
        assert queue.record(job_id).status == "stopped"
        assert claim(queue) is None and queue.active_training("7") is None

    def test_a_running_job_is_asked(self, queue):
        job_id = queue.enqueue("train", "7", "p")
        claim(queue)
        assert queue.renew(job_id, "me:1:a") is None
        queue.request_stop(job_id, mode="keep")
        assert (queue.stop_mode(job_id), queue.renew(job_id, "me:1:a")) == ("keep", "keep")
        assert queue.record(job_id).status == "started"

    def test_a_paused_job_keeps_its_last_epoch_only_if_wanted(self, queue):
        kept, dropped = queue.enqueue("train", "7", "a"), queue.enqueue("train", "8", "b")
        claim(queue), claim(queue)
        queue.put_back(kept, "me:1:a"), queue.put_back(dropped, "me:1:a")
        queue.request_stop(kept, mode="keep"), queue.request_stop(dropped, mode="discard")
        assert (queue.record(kept).status, queue.record(dropped).status) == ("queued", "stopped")
        assert claim(queue) == kept and queue.stop_mode(kept) == "keep"

    def test_an_ended_job_stays_as_it_is(self, queue):
        job_id = queue.enqueue("train", "7", "p")
        claim(queue)
        queue.end(job_id, "me:1:a", status="finished")
        queue.request_stop(job_id, mode="discard")
        assert queue.record(job_id).status == "finished" and queue.stop_mode(job_id) is None


class TestRecovery:
    def test_a_silent_worker_loses_its_job_at_most_so_many_times(self, queue):
        job_id = queue.enqueue_training("7", "p", follow_up=False)
        for pickup in range(MAX_PICKUPS):
            assert claim(queue, owner=f"w{pickup}") == job_id
            time.sleep(0.01)
            assert queue.recover() == [job_id]
            with pytest.raises(LeaseLost):
                queue.renew(job_id, f"w{pickup}")
            with pytest.raises(LeaseLost):
                queue.end(job_id, f"w{pickup}", status="finished")
        assert queue.record(job_id).details["pickups"] == MAX_PICKUPS
        claim(queue, owner="last")
        time.sleep(0.01)
        assert queue.recover() == [job_id]
        record = queue.record(job_id)
        assert record.status == "failed" and "3 times" in record.error and "memory" in record.error
        assert queue.active_training("7") is None

    def test_a_worker_that_gives_signs_of_life_keeps_its_job(self, redis_url, redis_server):
        queue = RqJobQueue(redis_url, lease_s=0.3)
        job_id = queue.enqueue("train", "7", "p")
        claim(queue)
        for _ in range(5):
            time.sleep(0.1)
            queue.renew(job_id, "me:1:a")
            assert queue.recover() == []
        assert queue.record(job_id).status == "started"

    def test_nobody_is_given_up_right_after_redis_was_away(self, redis_url):
        queue = RqJobQueue(redis_url, lease_s=1e9)
        queue.enqueue("train", "7", "p")
        claim(queue)
        assert queue.recover() == []

    def test_the_job_of_a_dead_process_is_put_back_at_once(self, queue):
        mine, others = queue.enqueue("train", "7", "p"), queue.enqueue("train", "8", "p")
        claim(queue, owner="host:11:x"), claim(queue, owner="host:112:x")
        assert queue.abandon("host:11:", "killed by signal 9") == [mine]
        assert [queue.record(job_id).status for job_id in (mine, others)] == ["queued", "started"]

    def test_a_lost_ticket_is_replaced(self, queue, client):
        queue.enqueue("train", "7", "p")
        client.delete("rq:queue:train")
        queue.recover()
        assert ticket_count(client, "train") == 1
        queue.recover()
        assert ticket_count(client, "train") == 1

    def test_two_lookouts_put_a_job_back_once(self, redis_url):
        queues = [RqJobQueue(redis_url, lease_s=NO_WAIT_S) for _ in range(4)]
        job_id = queues[0].enqueue("train", "7", "p")
        claim(queues[0])
        time.sleep(0.01)
        found = []
        threads = [threading.Thread(target=lambda q=q: found.extend(q.recover())) for q in queues]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [job_id]
        assert queues[0].record(job_id).details["pickups"] == 1


class TestResuming:
    def test_a_failed_prediction_goes_on_once_whoever_asks(self, queue, client):
        job_id = queue.enqueue("predict", "7", "p")
        claim(queue, "predict")
        queue.end(job_id, "me:1:a", status="failed", error="Label Studio does not answer")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: queue.resume(job_id), range(16)))
        assert (queue.record(job_id).status, queue.record(job_id).error) == ("queued", None)
        assert client.ttl(f"lsb:job:{job_id}") == -1
        lengths = queue.queue_lengths()
        assert (lengths["train"], lengths["predict"]) == (0, 1)
        assert claim(queue, "predict") == job_id
        assert claim(queue, "predict") is None

    @pytest.mark.parametrize(
        ("kind", "status"), [("predict", "finished"), ("predict", "stopped"), ("train", "failed")]
    )
    def test_any_other_stays_as_it_is(self, queue, kind, status):
        job_id = queue.enqueue(kind, "7", "p")
        claim(queue, kind)
        queue.end(job_id, "me:1:a", status=status)
        queue.resume(job_id)
        assert queue.record(job_id).status == status
        lengths = queue.queue_lengths()
        assert (lengths["train"], lengths["predict"]) == (0, 0)


def test_unknown_jobs_and_wrong_arguments_are_refused(queue):
    for call in (queue.record, queue.labels_taken, lambda job_id: queue.update(job_id, error="x")):
        with pytest.raises(NotFoundError, match="no job"):
            call("nope")
    with pytest.raises(NotFoundError):
        queue.request_stop("nope", mode="keep")
    with pytest.raises(ValueError, match="kind"):
        queue.enqueue("dance", "7", "p")
    with pytest.raises(ValueError, match="mode"):
        queue.request_stop("nope", mode="gently")
    with pytest.raises(ValueError, match="ends as"):
        queue.end("nope", "me", status="queued")
    with pytest.raises(ValueError, match="updated"):
        queue.update("nope", status="finished")


def test_an_index_entry_whose_record_is_forgotten_is_passed_over(queue, client):
    job_id = queue.enqueue("predict", "7", "p")
    client.delete(f"lsb:job:{job_id}")
    assert queue.records() == []


def test_only_workers_that_live_are_counted(queue, client):
    client.sadd("rq:workers", "rq:worker:dead", "rq:worker:alive")
    client.hset("rq:worker:alive", "state", "idle")
    assert live_worker_count(client) == 1
    assert queue.worker_state() == WorkerState(workers=1, busy=0, waiting=0)


class TestRedisAway:
    def test_every_call_fails_soon_and_plainly(self, tmp_path):
        queue = RqJobQueue(f"unix://{tmp_path}/none.sock")
        started = time.monotonic()
        for call in (
            lambda: queue.enqueue("train", "7", "p"),
            lambda: queue.enqueue_training("7", "p", follow_up=True),
            lambda: queue.record("x"),
            lambda: queue.records(),
            lambda: queue.active_training("7"),
            lambda: queue.update("x", error="e"),
            lambda: queue.request_stop("x", mode="keep"),
            lambda: queue.stop_mode("x"),
            lambda: queue.recover(),
            lambda: queue.claim_next("train", "me"),
            lambda: queue.ping(),
        ):
            with pytest.raises(QueueError, match="try again"):
                call()
        assert time.monotonic() - started < 2.0

    def test_queued_and_running_jobs_survive_a_kill_of_redis(self, tmp_path):
        with EmbeddedRedis(tmp_path) as server:
            queue = RqJobQueue(server.url)
            running = queue.enqueue_training("7", "p", follow_up=True)
            claim(queue)
            queue.labels_taken(running)
            waiting = queue.enqueue_training("7", "p", follow_up=True)
            time.sleep(1.2)  # the append-only file is synced every second
            server.kill()
            with pytest.raises(QueueError):
                queue.enqueue("train", "8", "p")
            server.start()
            assert queue.renew(running, "me:1:a") is None
            queue.end(running, "me:1:a", status="finished")
            assert claim(queue) == waiting
            assert {job.job_id for job in queue.records()} == {running, waiting}, "nothing half queued"
