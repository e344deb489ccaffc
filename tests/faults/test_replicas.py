"""Two web replicas that share Redis and the store, and a version folder that somebody damaged."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.conftest import CONFIG, predict, train
from tests.redis_process import RedisProcess
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PROJECT = "1.1700000000"
NOTICED_WITHIN_S = 5.0


def version_of(service: ServiceProcess) -> str:
    """Return the version that /setup reports."""
    answer = service.post("/setup", {"project": PROJECT, "schema": CONFIG, "extra_params": None})
    return str(answer.json()["model_version"])


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two services on one Redis and one store, each with its own data directory; only the first trains."""
    common = {"STORE_URL": str(tmp_path / "store"), "PREDICT_WORKERS": "0", "OMP_NUM_THREADS": "1"}
    (tmp_path / "store").mkdir()
    with (
        RedisProcess(tmp_path / "redis") as redis,
        ServiceProcess(tmp_path / "first", REDIS_URL=redis.url, TRAIN_WORKERS="1", **common) as first,
        ServiceProcess(tmp_path / "second", REDIS_URL=redis.url, TRAIN_WORKERS="0", **common) as second,
    ):
        yield first, second


def test_start_training_on_both_at_once_makes_one_job(
    replicas: tuple[ServiceProcess, ServiceProcess],
) -> None:
    event = {"action": "START_TRAINING", "project": {"id": 1, "label_config": CONFIG}}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: replicas[number % 2].post("/webhook", event), range(16)))
    assert {answer.status_code // 100 for answer in answers} == {2}
    # The worker may have begun in between; then one more, the same for all, waits for it.
    assert 1 <= len({answer.json()["job"] for answer in answers}) <= 2


def test_new_version_is_noticed_by_the_other_replica(
    replicas: tuple[ServiceProcess, ServiceProcess],
) -> None:
    first, second = replicas
    status = first.wait_for_job(train(first, epochs=1).json()["job"])
    assert status["job_status"] == "finished", status
    ended = time.monotonic()
    second.wait_for(
        lambda: version_of(second) == status["model_version"],
        "the new version",
        within_s=NOTICED_WITHIN_S,
        every_s=0.2,
    )
    assert time.monotonic() - ended <= NOTICED_WITHIN_S
    assert predict(second).json()["results"][0]["model_version"] == status["model_version"]


def test_damaged_version_gives_way_to_the_newest_good_one(service: ServiceProcess) -> None:
    versions = [
        service.wait_for_job(train(service, epochs=1).json()["job"])["model_version"] for _ in range(2)
    ]
    shutil.rmtree(_folder(service, versions[1]))
    service.wait_for(lambda: version_of(service) == versions[0], "the older version", within_s=30)
    assert predict(service).json()["results"][0]["model_version"] == versions[0]
    assert service.get("/health").ok


def _folder(service: ServiceProcess, version: str) -> Path:
    (folder,) = [path for path in service.data_dir.rglob(version) if path.parent.name == "versions"]
    return folder
