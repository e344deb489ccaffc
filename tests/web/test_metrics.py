from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.errors import QueueError
from tests.fakes.services import add_version
from tests.fakes.tasks import RECTANGLES
from tests.web.conftest import KEY

ROOT = Path(__file__).resolve().parents[2]


def read(client):
    text = client.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_latencies_and_images_are_counted(client):
    add_version(client.services, KEY)
    for numbers in ((1, 2), (2,)):
        tasks = [{"id": k, "data": {"image": f"{k}.png"}} for k in numbers]
        client.post("/predict", json={"tasks": tasks, "project": KEY, "label_config": RECTANGLES})
    client.get("/nothing-there")
    found = read(client)
    labels = (("method", "POST"), ("route", "/predict"), ("status", "200"))
    assert found[("lsb_requests_total", *labels)] == 2
    assert found["lsb_request_seconds_count", ("route", "/predict")] == 2
    assert found["lsb_images_predicted_total",] == 3
    assert found["lsb_image_cache_requests_total", ("result", "hit")] == 1
    assert found["lsb_image_cache_requests_total", ("result", "miss")] == 2
    assert found["lsb_web_memory_bytes", ("memory", "resident")] > 10_000_000
    assert found["lsb_web_memory_bytes", ("memory", "device")] == 0
    assert found["lsb_requests_total", ("method", "GET"), ("route", "unknown"), ("status", "404")] == 1


def test_made_up_methods_are_counted_together(client):
    for number in range(5):
        client.open("/nothing-there", method=f"X{number}")
    found = read(client)
    labels = (("method", "other"), ("route", "unknown"), ("status", "404"))
    assert found[("lsb_requests_total", *labels)] == 5
    assert not [sample for sample in found if ("method", "X1") in sample]


def test_the_queue_and_its_jobs_are_shown(client):
    job = client.post("/train", json={"project": KEY, "label_config": RECTANGLES}).json["job"]
    memory = {"resident_bytes": 2_000_000, "device_bytes": 1_000_000}
    client.services.queue.update(job, progress={"loss": 0.25}, details={"memory": memory})
    found = read(client)
    assert found["lsb_redis_up",] == 1
    assert found["lsb_queue_waiting", ("kind", "train")] == 1
    assert found["lsb_queue_waiting", ("kind", "predict")] == 0
    assert found["lsb_jobs", ("kind", "train"), ("status", "queued")] == 1
    assert found["lsb_training_loss", ("job", job), ("project", KEY)] == 0.25
    labels = (("job", job), ("kind", "train"), ("memory", "device"), ("project", KEY))
    assert ("lsb_job_memory_bytes", *labels) not in found
    client.services.queue.start(job)
    assert read(client)[("lsb_job_memory_bytes", *labels)] == 1_000_000


def test_metrics_go_on_without_redis(client):
    client.services.queue.failure = QueueError("away")
    found = read(client)
    assert found["lsb_redis_up",] == 0


def test_several_processes_are_added_up(tmp_path):
    code = (
        "from tests.web.conftest import StubModel\n"
        "from tests.fakes.services import make_services\n"
        "from pathlib import Path\n"
        f"c = make_services(Path({str(tmp_path)!r})).app(lambda: StubModel).test_client()\n"
        "c.get('/health')\n"
        "print(c.get('/metrics').text)"
    )
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "PATH": "/usr/bin:/bin"}
    for expected in (1.0, 2.0):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        line = next(
            line for line in done.stdout.splitlines() if 'route="/health"' in line and "_count" in line
        )
        assert float(line.rpartition(" ")[2]) == expected


@pytest.mark.parametrize("secret", ["gehéim", "basic_auth"])
def test_no_secret_is_in_it(make_client, secret):
    client = make_client(settings={"basic_auth_user": "ann", "basic_auth_pass": "gehéim"})
    answer = client.get("/metrics", auth=("ann", "gehéim"))
    assert answer.status_code == 200
    assert secret not in answer.text
