from __future__ import annotations

import json

import pytest

from tests.panel_fakes import KEY, publish_version
from tests.web.panel.conftest import BASE, push


def test_predict_accept_undo(client, services, label_studio):
    publish_version(services, "v1")
    view = client.post(f"{BASE}/tasks/1/predict").json
    prediction = view["prediction"]
    assert prediction["model_version"] == "v1" and not prediction["is_stored_in_label_studio"]
    assert label_studio.pushed == []
    ids = [region["id"] for region in prediction["result"]][:1]
    body = {"prediction_id": prediction["prediction_id"], "model_version": "v1", "region_ids": ids}
    accepted = client.post(f"{BASE}/tasks/1/accept", json=body)
    assert accepted.status_code == 200 and accepted.json["regions"] == 1
    [annotation] = label_studio.annotations(1)
    [made] = annotation["result"]
    [shown] = [region for region in prediction["result"] if region["id"] == ids[0]]
    assert made == {**shown, "origin": "prediction"}
    assert client.get(f"{BASE}/tasks/1").json["prediction"]["is_accepted"]
    again = client.post(f"{BASE}/tasks/1/accept", json={**body, "annotation_ids": [annotation["id"]]})
    assert again.status_code == 409
    undone = client.post(f"{BASE}/tasks/1/undo-accept")
    assert undone.status_code == 200
    assert label_studio.annotations(1) == []
    assert not undone.json["prediction"]["is_accepted"]


def test_every_region_from_a_score_up_can_be_accepted_by_a_script(client, services, label_studio):
    publish_version(services, "v1")
    push(label_studio, 2)
    prediction = client.get(f"{BASE}/tasks/2").json["prediction"]
    assert prediction["is_stored_in_label_studio"]
    body = {"prediction_id": prediction["prediction_id"], "model_version": "v1", "confidence_threshold": 0.6}
    assert client.post(f"{BASE}/tasks/2/accept", json=body).json["regions"] == 2
    [annotation] = label_studio.annotations(2)
    assert {region["id"] for region in annotation["result"]} == {"r1", "e1"}
    assert annotation["parent_prediction"] == int(prediction["prediction_id"].rpartition("-")[2])


@pytest.mark.parametrize("what", ["annotated", "repredicted", "cleared", "other version", "other region"])
def test_accepting_what_is_no_longer_so_is_refused(client, services, label_studio, what):
    publish_version(services, "v1")
    prediction = client.post(f"{BASE}/tasks/1/predict").json["prediction"]
    ids = [region["id"] for region in prediction["result"]]
    if what == "annotated":
        label_studio.create_annotation(1, [])
    elif what == "repredicted":
        client.post(f"{BASE}/tasks/1/predict")
    elif what == "cleared":
        client.delete(f"{BASE}/tasks/1/predictions")
    elif what == "other version":
        publish_version(services, "v2")
    else:
        ids.append("somebody-elses")
    before = label_studio.annotations(1)
    body = {"prediction_id": prediction["prediction_id"], "model_version": "v1", "region_ids": ids}
    answer = client.post(f"{BASE}/tasks/1/accept", json=body)
    assert answer.status_code == 409, answer.json
    assert label_studio.annotations(1) == before


def test_an_annotation_that_slips_in_while_accepting_wins(client, services, label_studio):
    publish_version(services, "v1")
    prediction = client.post(f"{BASE}/tasks/1/predict").json["prediction"]
    create = label_studio.create_annotation

    def create_after_somebody(task_id, result, **fields):
        create(task_id, [{"id": "theirs"}])
        return create(task_id, result, **fields)

    label_studio.create_annotation = create_after_somebody
    body = {"prediction_id": prediction["prediction_id"], "model_version": "v1", "confidence_threshold": 0.1}
    assert client.post(f"{BASE}/tasks/1/accept", json=body).status_code == 409
    assert [annotation["result"] for annotation in label_studio.annotations(1)] == [[{"id": "theirs"}]]


def test_undo_is_refused_once_the_annotation_was_edited_or_late(client, services, label_studio):
    publish_version(services, "v1")
    for task_id in (1, 2):
        prediction = client.post(f"{BASE}/tasks/{task_id}/predict").json["prediction"]
        body = {
            "prediction_id": prediction["prediction_id"],
            "model_version": "v1",
            "confidence_threshold": 0.1,
        }
        assert client.post(f"{BASE}/tasks/{task_id}/accept", json=body).status_code == 200
    label_studio.annotations_by_task[1][0]["result"] = []
    assert client.post(f"{BASE}/tasks/1/undo-accept").status_code == 409
    path = f"panel/{KEY}/accepted/2.json"
    document = json.loads(services.documents.content[path])
    services.documents.content[path] = json.dumps({**document, "accepted_at": 0.0})
    assert client.post(f"{BASE}/tasks/2/undo-accept").status_code == 409
    assert client.post(f"{BASE}/tasks/3/undo-accept").status_code == 404


def test_clear_removes_predictions_here_and_in_label_studio(client, services, label_studio):
    publish_version(services, "v1")
    push(label_studio, 1)
    push(label_studio, 2)
    client.post(f"{BASE}/tasks/1/predict")
    assert client.delete(f"{BASE}/tasks/1/predictions").json == {"cleared": 2}
    assert [item["task"] for item in label_studio.pushed] == [2]
    assert client.get(f"{BASE}/tasks/1").json["prediction"] is None


def test_predicting_before_any_training_says_so(client):
    answer = client.post(f"{BASE}/tasks/1/predict")
    assert answer.status_code == 409
    assert "train" in answer.json["error"]
