from __future__ import annotations

from tests.panel_fakes import publish_version
from tests.web.panel.conftest import BASE


def test_before_anything_was_counted(client):
    body = client.get(f"{BASE}/acceptance").json
    assert (body["survey"], body["batches"], body["precision"]) == (None, [], 0.95)
    assert client.post(f"{BASE}/acceptance/accept", json={"precision": 0.9}).status_code == 409


def test_counting_needs_a_model_and_a_precision_that_makes_sense(client, services):
    assert client.post(f"{BASE}/acceptance/count").status_code == 409
    publish_version(services, "v1")
    assert client.post(f"{BASE}/acceptance/count").status_code == 201
    assert client.get(f"{BASE}/acceptance").json["job"]["is_active"]
    assert client.get(f"{BASE}/acceptance?precision=1.5").status_code == 400
    assert client.post(f"{BASE}/acceptance/batches/none/undo").status_code == 404
