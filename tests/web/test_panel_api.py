from __future__ import annotations

import json

import jsonschema
import pytest

from backend.web.app import create_app
from backend.web.openapi_operations import OPERATIONS
from tests.fakes import make_services
from tests.panel_fakes import (
    KEY,
    FakePanelLabelStudio,
    UnreachableLabelStudio,
    all_shapes,
    make_panel_services,
    publish_version,
)

BASE = f"/api/projects/{KEY}"


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio()


@pytest.fixture
def services(tmp_path, label_studio):
    return make_panel_services(tmp_path, label_studio)


@pytest.fixture
def client(services):
    return client_of(services)


def client_of(services):
    app = create_app(services, lambda: None)
    app.testing = False
    return app.test_client()


def push(label_studio, task_id, version="v1", **changes):
    prediction = {"task": task_id, "result": all_shapes(), "score": 0.6, "model_version": version, **changes}
    label_studio.import_predictions(7, [prediction])


def test_projects_come_from_label_studio_under_their_one_key(client):
    body = client.get("/api/projects").json
    assert body["projects"] == [{"key": KEY, "id": 7, "title": "Blood cells", "is_reachable": True}]
    assert body["label_studio"]["problem"] is None


@pytest.mark.parametrize("refuses", [False, True], ids=["unreachable", "token refused"])
def test_without_label_studio_the_answer_says_what_is_missing_and_the_rest_works(tmp_path, refuses):
    services = make_panel_services(tmp_path, UnreachableLabelStudio(refuses))
    publish_version(services, "v1")
    client = client_of(services)
    body = client.get("/api/projects").json
    assert body["projects"][0]["key"] == KEY and not body["projects"][0]["is_reachable"]
    assert "LABEL_STUDIO_URL" in body["label_studio"]["fix"]
    project = client.get(BASE).json
    assert [entry["label"] for entry in project["labels"]] == ["Cell", "Debris", "Nucleus", "Tissue"]
    assert project["problem"]
    assert client.get(f"{BASE}/versions").json["current"] == "v1"
    assert client.get(f"{BASE}/settings").status_code == 200
    assert client.get(f"{BASE}/state").json["label_studio"]["reachable"] is False
    assert client.get(f"{BASE}/tasks").status_code == 502


def test_no_label_studio_at_all_is_told_with_the_way_to_set_it(tmp_path):
    services = make_panel_services(
        tmp_path, settings={"label_studio_url": None, "label_studio_api_key": None}
    )
    services.documents.content.clear()
    services = make_services(tmp_path, documents=services.documents, settings=services.settings)
    body = client_of(services).get("/api/projects").json
    assert body["projects"] == []
    assert body["label_studio"]["problem"] and "LABEL_STUDIO_API_KEY" in body["label_studio"]["fix"]


def test_task_list_is_filtered_sorted_and_cut(client, label_studio, services):
    publish_version(services, "v1")
    label_studio.create_annotation(3, [])
    push(label_studio, 4, score=0.9)
    push(label_studio, 5, score=0.2)
    push(label_studio, 6, version="v0", score=0.5)
    body = client.get(f"{BASE}/tasks?show=predicted&sort=score&limit=2").json
    assert [(row["task_id"], row["score"], row["predicted_by"]) for row in body["tasks"]] == [
        (5, 0.2, "current"),
        (6, 0.5, "older"),
    ]
    assert body["total"] == 3
    assert body["counts"] == {"all": 12, "annotated": 1, "predicted": 3, "neither": 8}
    assert body["tasks"][0]["name"] == "slide_00005.png"
    assert client.get(f"{BASE}/task-ids?show=annotated").json["task_ids"] == [3]


@pytest.mark.parametrize(
    "query",
    [
        "show=some",
        "sort=name",
        "offset=-1",
        "offset=x",
        "limit=0",
        "limit=1001",
        "limit=%E0%A5%A7",
        "limit=1e3",
    ],
)
def test_a_wrong_query_is_refused_by_name(client, query):
    answer = client.get(f"{BASE}/tasks?{query}")
    assert answer.status_code == 400
    assert answer.json["field"] == query.partition("=")[0]


@pytest.mark.parametrize("key", ["../../x", "7.x", "abc", "1" * 40])
def test_a_key_of_wrong_form_is_refused(client, key):
    assert client.get(f"/api/projects/{key}/settings").status_code in (400, 404)


def test_images_are_those_of_the_projects_tasks_only(client):
    answer = client.get(f"{BASE}/tasks/1/images/0")
    assert answer.status_code == 200
    assert answer.data[:2] == b"\xff\xd8"
    assert answer.headers["X-Image-Size"] == "640x480"
    assert client.get(f"{BASE}/tasks/1/images/1").status_code == 404
    assert client.get(f"{BASE}/tasks/999/images/0").status_code == 404
    small = client.get(f"{BASE}/tasks/1/thumbnails/0")
    assert len(small.data) < len(answer.data) / 3


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


def test_settings_round_trip_and_become_the_defaults(client, services):
    before = client.get(f"{BASE}/settings").json
    assert before["effective"]["epochs"] == 50 and before["origins"]["epochs"] == "default"
    changes = {
        "params": {"epochs": 7, "backbone": "regnety_004"},
        "auto_train": {"annotations": 5, "quiet_minutes": 2},
    }
    after = client.patch(f"{BASE}/settings", json=changes).json
    assert after["effective"]["epochs"] == 7 and after["origins"]["epochs"] == "project settings"
    assert services.projects.settings(KEY).auto_train.annotations == 5
    forgotten = client.patch(f"{BASE}/settings", json={"params": {"epochs": None}}).json
    assert forgotten["effective"]["epochs"] == 50
    assert forgotten["effective"]["backbone"] == "regnety_004"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"params": {"epochs": 0, "learning_rate": 1}}, {"epochs", "learning_rate"}),
        ({"params": {"image_size": 300}}, {"image_size"}),
        ({"params": {"speed": 1}}, {"speed"}),
        ({"params": {"enable_detection": False, "enable_segmentation": False}}, {"enable_detection"}),
        ({"activation": "always"}, {"activation"}),
        (
            {"auto_train": {"annotations": 0, "quiet_minutes": -1}},
            {"auto_train.annotations", "auto_train.quiet_minutes"},
        ),
        ({"predict_after_training": "yes"}, {"predict_after_training"}),
    ],
    ids=["two ranges", "choice", "unknown", "both heads", "activation", "auto-train", "flag"],
)
def test_wrong_values_are_refused_by_field_and_nothing_is_saved(client, services, changes, fields):
    answer = client.patch(f"{BASE}/settings", json=changes)
    assert answer.status_code == 400
    assert set(answer.json["errors"]) == fields
    assert services.projects.settings(KEY).params == {}


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


def test_versions_are_listed_activated_pinned_compared_and_deleted(client, services):
    publish_version(services, "v1", metrics={"box_mAP50": 0.5})
    publish_version(services, "v2", params={"backbone": "resnet18", "epochs": 20})
    listed = client.get(f"{BASE}/versions").json
    assert [card["version"] for card in listed["versions"]] == ["v2", "v1"] and listed["current"] == "v2"
    comparison = client.get(f"{BASE}/versions/compare?before=v1&after=v2").json
    assert comparison["sentence"].startswith("v2 is better than v1")
    assert comparison["classes"][0]["label"] == "Cell"
    assert comparison["parameters"] == [{"name": "epochs", "before": 12, "after": 20}]
    assert client.delete(f"{BASE}/versions/v2").status_code == 409
    assert client.post(f"{BASE}/versions/v1/activate").json == {"version": "v1", "current": "v1"}
    assert client.put(f"{BASE}/versions/v2/pin", json={"pinned": True}).status_code == 200
    assert client.delete(f"{BASE}/versions/v2").status_code == 200
    assert client.post(f"{BASE}/versions/none-such/activate").status_code == 404


def test_a_model_is_saved_and_loaded_by_another_installation(client, services, tmp_path):
    publish_version(services, "v1")
    with client.get(f"{BASE}/versions/v1/file") as saved:
        assert saved.headers["Content-Disposition"].startswith("attachment")
        content = {"data": saved.data, "content_type": "application/octet-stream"}
    assert not list((services.settings.data_dir / "scratch").iterdir())
    other = make_panel_services(tmp_path / "other")
    loaded = client_of(other).post(f"{BASE}/versions", **content)
    assert loaded.status_code == 201 and loaded.json == {"version": "v1", "current": "v1"}
    assert client.post(f"{BASE}/versions", data=b"x", content_type="text/plain").status_code == 415
    assert (
        client.post(f"{BASE}/versions", data=b"", content_type="application/octet-stream").status_code == 400
    )


def test_training_images_carry_their_state(client, services, label_studio):
    label_studio.create_annotation(1, [])
    label_studio.create_annotation(2, [])
    client.get(f"{BASE}/tasks/1/thumbnails/0")
    body = client.get(f"{BASE}/training-images?limit=3").json
    assert [image["state"] for image in body["images"]] == ["loaded", "not_loaded", "unlabelled"]
    assert body["counts"] == {"loaded": 1, "not_loaded": 1, "unlabelled": 10}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_changing_requests_from_other_sites_are_refused(client, headers):
    for method, path in [("POST", "/train"), ("PATCH", "/settings"), ("DELETE", "/tasks/1/predictions")]:
        assert client.open(BASE + path, method=method, json={}, headers=headers).status_code == 403
    assert client.get(f"{BASE}/settings", headers=headers).status_code == 200


def test_the_panel_itself_and_programs_may_change_things(client):
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}):
        assert (
            client.patch(f"{BASE}/settings", json={"params": {"epochs": 9}}, headers=headers).status_code
            == 200
        )
    form = {"data": "params=1", "content_type": "application/x-www-form-urlencoded"}
    assert client.patch(f"{BASE}/settings", **form).status_code == 415


def test_basic_auth_covers_page_and_api(tmp_path):
    settings = {"basic_auth_user": "ada", "basic_auth_pass": "secret"}
    client = client_of(make_panel_services(tmp_path, settings=settings))
    for path in (
        "/panel",
        "/api/projects",
        f"{BASE}/tasks/1/images/0",
        "/openapi.json",
        "/panel/static/main.js",
    ):
        assert client.get(path).status_code == 401
        with client.get(path, auth=("ada", "secret")) as answer:
            assert answer.status_code == 200


def test_no_token_reaches_the_browser(client, services):
    services.projects.remember(KEY, access_token="f00dcafe")
    paths = [
        "/api/projects",
        BASE,
        f"{BASE}/state",
        f"{BASE}/settings",
        f"{BASE}/check",
        f"{BASE}/tasks",
        "/panel",
    ]
    for path in paths:
        assert b"f00dcafe" not in client.get(path).data


def test_the_page_has_strict_headers_and_a_browser_is_sent_to_it(client):
    answer = client.get("/panel")
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy
    assert client.get("/", headers={"Accept": "text/html,*/*"}).headers["Location"] == "/panel"
    assert client.get("/", headers={"Accept": "*/*"}).json["status"] == "UP"


def test_events_are_sent_and_places_are_bounded(client, services):
    streams = []
    for _ in range(2):  # a third of eight threads
        stream = client.get(f"{BASE}/events")
        first = next(iter(stream.response))
        streams.append(stream)
        assert b"event: state" in (first if isinstance(first, bytes) else first.encode())
    refused = client.get(f"{BASE}/events")
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    assert client.get(f"{BASE}/state?since=0&wait_s=5").status_code == 200
    for stream in streams:
        stream.close()


def test_every_route_of_the_panel_is_described(client):
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    found = set()
    for rule in client.application.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = rule.rule.replace("<int:", "<").replace("<", "{").replace(">", "}")
            found |= {(method, path) for method in rule.methods - {"HEAD", "OPTIONS"}}
    assert found == described


def test_the_description_is_valid_openapi(client):
    document = client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    ids = [entry["operationId"] for path in document["paths"].values() for entry in path.values()]
    assert len(ids) == len(set(ids))
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"]


def test_answers_validate_against_the_description(client, services, label_studio):
    publish_version(services, "v1")
    push(label_studio, 1)
    document = client.get("/openapi.json").json
    job = client.post(f"{BASE}/train").json["job"]
    values = {"key": KEY, "task_id": "1", "page": "0", "version": "v1", "job_id": job}
    for path, entries in document["paths"].items():
        entry = entries.get("get")
        if entry is None or path.endswith(("/events", "/compare")):
            continue
        with client.get(path.format(**values)) as answer:
            answer.get_data()
        [(content_type, media)] = entry["responses"][str(answer.status_code)]["content"].items()
        assert answer.mimetype == content_type, path
        if content_type == "application/json":
            schema = {**media["schema"], "components": document["components"]}
            jsonschema.validate(answer.json, schema)
