"""The panel of a project that is predicted by the names of its labels: its versions, its review."""

from __future__ import annotations

import pytest

from tests.fakes.zero_shot import NAME, FakeZeroShot
from tests.panel_fakes import KEY, SHAPES_CONFIG, FakePanelLabelStudio, make_panel_services, publish_version
from tests.web.panel.conftest import BASE, client_of


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio()


@pytest.fixture
def services(tmp_path, label_studio):
    services = make_panel_services(tmp_path, label_studio, zero_shot=FakeZeroShot().make)
    services.projects.remember(
        KEY, label_config=SHAPES_CONFIG, extra_params={"label_texts": {"Cell": "red blood cell"}}
    )
    return services


@pytest.fixture
def client(services):
    return client_of(services)


def test_its_predictions_are_shown_and_accepted_as_labels(client, label_studio):
    state = client.get(f"{BASE}/state").json
    assert state["model"] == {"is_trained": False, "version": NAME, "card": None, "stand_in": None}
    view = client.post(f"{BASE}/tasks/1/predict").json["prediction"]
    assert view["model_version"] == NAME and view["is_current_version"]
    body = {"prediction_id": view["prediction_id"], "model_version": NAME, "confidence_threshold": 0.6}
    accepted = client.post(f"{BASE}/tasks/1/accept", json=body)
    assert accepted.status_code == 200
    [annotation] = label_studio.annotations(1)
    assert annotation["result"] and {region["origin"] for region in annotation["result"]} == {"prediction"}


def test_it_is_a_version_among_others_to_compare_with_and_to_switch_to(client, services):
    publish_version(services, "20260101-000000-aaaa")
    listed = client.get(f"{BASE}/versions").json
    assert [card["version"] for card in listed["versions"]] == ["20260101-000000-aaaa", NAME]
    assert listed["current"] == "20260101-000000-aaaa"
    card = listed["versions"][1]
    assert not card["is_current"] and card["is_trained"] is False and card["licence"] == "mit"
    assert card["label_texts"]["Cell"] == "red blood cell"
    comparison = client.get(f"{BASE}/versions/compare?before={NAME}&after=20260101-000000-aaaa").json
    assert comparison["before"] == NAME and "not measured on held-out images" in comparison["sentence"]

    switched = client.post(f"{BASE}/versions/{NAME}/activate")
    assert switched.json == {"version": NAME, "current": NAME}
    assert client.post(f"{BASE}/tasks/1/predict").json["prediction"]["model_version"] == NAME
    assert [card["is_current"] for card in client.get(f"{BASE}/versions").json["versions"]] == [False, True]

    back = client.post(f"{BASE}/versions/20260101-000000-aaaa/activate")
    assert back.json["current"] == "20260101-000000-aaaa"
    assert client.post(f"{BASE}/tasks/1/predict").json["prediction"]["model_version"] == back.json["current"]


def test_a_version_that_is_trained_after_the_switch_serves(client, services):
    publish_version(services, "20260101-000000-aaaa")
    client.post(f"{BASE}/versions/{NAME}/activate")
    publish_version(services, "20260102-000000-bbbb")
    assert client.get(f"{BASE}/versions").json["current"] == "20260102-000000-bbbb"


def test_it_is_no_file_to_be_saved_pinned_or_deleted(client):
    assert client.get(f"{BASE}/versions/{NAME}/file").status_code == 404
    assert client.put(f"{BASE}/versions/{NAME}/pin", json={"pinned": True}).status_code == 404
    assert client.delete(f"{BASE}/versions/{NAME}").status_code == 404


def test_without_the_network_a_switch_to_it_is_void(tmp_path, services, client):
    publish_version(services, "20260101-000000-aaaa")
    client.post(f"{BASE}/versions/{NAME}/activate")
    without = make_panel_services(
        tmp_path, services.connect("", ""), documents=services.documents, store=services.store
    )
    listed = client_of(without).get(f"{BASE}/versions").json
    assert listed["current"] == "20260101-000000-aaaa" and len(listed["versions"]) == 1
