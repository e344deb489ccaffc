from __future__ import annotations

import pytest

from tests.looked_at import LookedProject, sound_result
from tests.web.panel.conftest import BASE, client_of


@pytest.fixture
def looked(tmp_path):
    project = LookedProject(tmp_path)
    project.look_as_before()
    return project


def test_before_any_look_the_list_is_empty_and_says_so(client):
    body = client.get(f"{BASE}/second-look").json
    assert (body["made_at"], body["findings"], body["job"]) == (None, [], None)


def test_a_look_is_asked_for_listed_taken_and_taken_back(looked):
    client = client_of(looked.services)
    body = client.get(f"{BASE}/second-look?kind=other_label&limit=2").json
    found = next(one for one in body["findings"] if one["task_id"] == 2)
    assert {one["kind"] for one in body["findings"]} == {"other_label"} and body["version"] == "v1"
    address = f"{BASE}/second-look/{found['finding_id']}"
    assert client.post(f"{address}/take").json["state"] == "taken"
    assert looked.result_of(2) == sound_result(2)
    assert client.post(f"{address}/take").status_code == 409
    assert client.post(f"{address}/undo").json["state"] == "open"
    assert client.post(f"{address}/dismiss").json["state"] == "dismissed"
    assert client.get(f"{BASE}/second-look?show=dismissed").json["total"] == 1


def test_an_unknown_finding_is_404_and_a_look_without_a_model_is_409(client):
    assert client.post(f"{BASE}/second-look/nothing/take").status_code == 404
    answer = client.post(f"{BASE}/second-look", json={"images": "unseen"})
    assert answer.status_code == 409 and "train it first" in answer.json["error"]
    assert client.post(f"{BASE}/second-look", json={"images": "some"}).status_code == 400
    assert client.post(f"{BASE}/second-look", json={"images": "all"}).status_code == 201
