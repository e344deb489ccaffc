from __future__ import annotations

import pytest

from tests.panel_fakes import publish_version
from tests.web.panel.conftest import BASE


def test_training_is_queued_once_and_can_be_stopped(client):
    created = client.post(f"{BASE}/train", json={"params": {"epochs": 3}})
    assert created.status_code == 201
    assert client.post(f"{BASE}/train").status_code == 409
    job = client.get(f"/api/jobs/{created.json['job']}").json
    assert job["status"] == "queued" and job["is_active"]
    assert client.get(f"{BASE}/state").json["training"]["job_id"] == created.json["job"]
    stopped = client.post(f"/api/jobs/{created.json['job']}/stop", json={"mode": "discard"}).json
    assert stopped["status"] == "stopped"
    assert client.get("/api/jobs/nobody").status_code == 404
    assert client.get(f"{BASE}/jobs").json["jobs"][0]["summary"] == "Stopped; nothing was kept."


@pytest.mark.parametrize("params", [{"epochs": 0}, {"speed": 2}, {"start_from": "none-such"}])
def test_training_refuses_wrong_parameters(client, params):
    assert client.post(f"{BASE}/train", json={"params": params}).status_code == 400


def test_predict_all_needs_a_model_and_is_queued_once(client, services):
    assert client.post(f"{BASE}/predict-all").status_code == 409
    publish_version(services, "v1")
    first = client.post(f"{BASE}/predict-all")
    assert first.status_code == 201
    assert client.post(f"{BASE}/predict-all").json == first.json
