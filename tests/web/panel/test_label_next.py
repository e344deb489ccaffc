from __future__ import annotations

import pytest

from backend.core.label_next.usefulness import Useful
from backend.service.label_next.ranking import KeptRankings, Ranking
from tests.panel_fakes import KEY
from tests.ranked import RankedProject
from tests.web.panel.conftest import BASE, client_of


@pytest.fixture
def project(tmp_path):
    project = RankedProject(tmp_path)
    project.train()
    return project


def test_before_any_ranking_the_list_is_empty_and_says_so(client):
    body = client.get(f"{BASE}/label-next").json
    assert (body["made_at"], body["tasks"], body["job"], body["is_on"]) == (None, [], None, False)


def test_a_ranking_is_asked_for_and_listed_with_reasons(project):
    client = client_of(project.services)
    answer = client.post(f"{BASE}/label-next", json={})
    assert answer.status_code == 201
    project.rank(answer.json["job"])
    body = client.get(f"{BASE}/label-next?limit=3").json
    assert (body["version"], body["total"], len(body["tasks"])) == ("v1", 20, 3)
    assert body["tasks"][0]["usefulness"] == 1.0 and body["tasks"][0]["why"]
    assert body["job"]["status"] == "finished"


def test_the_strip_is_sorted_by_it(project):
    project.rank()
    client = client_of(project.services)
    tasks = client.get(f"{BASE}/tasks?sort=usefulness").json["tasks"]
    assert [one["task_id"] for one in tasks][:20] == project.order()
    assert tasks[0]["why"] and tasks[0]["usefulness"] == 1.0
    assert {one["task_id"] for one in tasks[20:]} == {1, 2, 3, 4} and tasks[-1]["usefulness"] is None


def test_the_strip_knows_a_ranking_as_soon_as_the_list_shows_it(project):
    client = client_of(project.services)
    assert client.get(f"{BASE}/tasks?sort=usefulness").json["tasks"][0]["usefulness"] is None
    in_the_worker = KeptRankings(project.services.documents)
    in_the_worker.keep(KEY, Ranking(1.0, "v1", 4, {9: Useful(1.0, "unlike anything labelled")}))
    assert client.get(f"{BASE}/label-next").json["total"] == 1
    assert client.get(f"{BASE}/tasks?sort=usefulness").json["tasks"][0]["task_id"] == 9


def test_the_switch_is_turned_and_wrong_values_are_refused(project):
    client = client_of(project.services)
    address = f"{BASE}/label-next/switch"
    answer = client.put(address, json={"is_on": True, "score": "usefulness"})
    assert answer.status_code == 200 and answer.json["job"]
    assert project.label_studio.sampling == "Uncertainty sampling"
    assert client.get(f"{BASE}/label-next").json["is_on"]
    assert client.put(address, json={"is_on": True, "score": "beauty"}).status_code == 400
    assert client.put(address, json={}).status_code == 400
    assert client.put(address, json={"is_on": False}).status_code == 200
    assert project.label_studio.sampling == "Sequential sampling"
