"""Two web replicas that share Redis and the store, and a version folder that somebody damaged."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.process_tree import descendants, kill
from harness.redis_process import RedisProcess
from harness.service_process import ServiceProcess
from tests.faults.conftest import CONFIG, predict, train, wait_for_epoch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PROJECT = "1.1700000000"
ENDED = ("finished", "failed", "stopped")


def version_of(service: ServiceProcess) -> str:
    """Return the version that /setup reports."""
    answer = service.post("/setup", {"project": PROJECT, "schema": CONFIG, "extra_params": None})
    return str(answer.json()["model_version"])


@contextmanager
def service_on(
    tmp_path: Path, name: str, redis: RedisProcess, *, train_workers: int
) -> Iterator[ServiceProcess]:
    """A service with a data directory of its own, on a store and a Redis that others share."""
    store = tmp_path / "store"
    store.mkdir(exist_ok=True)
    environment = {
        "REDIS_URL": redis.url,
        "STORE_URL": str(store),
        "TRAIN_WORKERS": str(train_workers),
        "PREDICT_WORKERS": "0",
        "WEB_WORKERS": "2",
        "OMP_NUM_THREADS": "1",
    }
    with ServiceProcess(tmp_path / name, **environment) as service:
        yield service


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that all services of a test share."""
    with RedisProcess(tmp_path / "redis") as process:
        yield process


@pytest.fixture
def replicas(tmp_path: Path, redis: RedisProcess) -> Iterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two services on one Redis and one store, each with its own data directory; only the first trains."""
    with (
        service_on(tmp_path, "first", redis, train_workers=1) as first,
        service_on(tmp_path, "second", redis, train_workers=0) as second,
    ):
        yield first, second


def test_start_training_on_both_at_once_makes_one_job(tmp_path: Path, redis: RedisProcess) -> None:
    event = {"action": "START_TRAINING", "project": {"id": 1, "label_config": CONFIG}}
    with (
        service_on(tmp_path, "first", redis, train_workers=0) as first,
        service_on(tmp_path, "second", redis, train_workers=0) as second,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(
            pool.map(lambda number: (first, second)[number % 2].post("/webhook", event), range(16))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["job"] for answer in answers}) == 1


def test_machine_that_is_gone_hands_its_training_to_another(tmp_path: Path, redis: RedisProcess) -> None:
    with service_on(tmp_path, "first", redis, train_workers=1) as first:
        job_id = train(first, epochs=40).json()["job"]
        wait_for_epoch(first, job_id, 4)
        with service_on(tmp_path, "second", redis, train_workers=1) as second:
            reached = second.job(job_id)["progress"]["epoch"]
            kill(first.pid, *descendants(first.pid))
            shutil.rmtree(first.data_dir)  # nobody finds its disk again either
            seen: list[int] = []

            def has_moved_on() -> bool:
                seen.append(second.job(job_id)["progress"].get("epoch", 0))
                return seen[-1] > reached + 1

            second.wait_for(has_moved_on, "the job to go on", within_s=120, every_s=0.2)
            assert "goes on from the checkpoint that another machine wrote" in second.log()
            status = second.wait_for_job(job_id, within_s=300)
            assert status["job_status"] == "finished", status
            epochs = [point["epoch"] for point in status["curve"]]
            assert epochs == list(range(1, 41))


def test_what_a_job_status_calls_finished_serves_in_every_replica_at_once(
    replicas: tuple[ServiceProcess, ServiceProcess],
) -> None:
    first, second = replicas
    for _ in range(2):
        job_id = train(first, epochs=1).json()["job"]
        deadline = time.monotonic() + 120
        # Asked all the time, the second replica has just read which version serves when the job ends.
        while version_of(second) and (status := first.job(job_id))["job_status"] not in ENDED:
            assert time.monotonic() < deadline, status
            time.sleep(0.02)
        assert status["job_status"] == "finished" and status["activated"], status
        version = status["model_version"]
        with ThreadPoolExecutor(8) as pool:
            predicted = [pool.submit(predict, second) for _ in range(4)]
            reported = [pool.submit(version_of, service) for service in replicas for _ in range(4)]
            listed = second.get(f"/versions?project={PROJECT}").json()["versions"]
        assert {future.result() for future in reported} == {version}
        assert {future.result().json()["results"][0]["model_version"] for future in predicted} == {version}
        assert listed[0] == version


def test_damaged_version_gives_way_to_the_newest_good_one(service: ServiceProcess) -> None:
    versions = [
        service.wait_for_job(train(service, epochs=1).json()["job"])["model_version"] for _ in range(2)
    ]
    shutil.rmtree(_folder(service, versions[1]))
    service.wait_for(lambda: version_of(service) == versions[0], "the older version", within_s=30)
    assert predict(service).json()["results"][0]["model_version"] == versions[0]
    assert service.get("/health").json()["damaged_versions"] == 1
    checks = service.get(f"/api/projects/{PROJECT}/check").json()["checks"]
    [files] = [check for check in checks if check["check"] == "model_files"]
    assert files["state"] == "failed"
    assert versions[1] in files["found"]


def _folder(service: ServiceProcess, version: str) -> Path:
    (folder,) = [path for path in service.data_dir.rglob(version) if path.parent.name == "versions"]
    return folder
