from __future__ import annotations

import json
import threading

import pytest

from backend.errors import QueueError, StoreError
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version
from tests.fakes.tasks import RECTANGLES, annotated, rectangle
from tests.web.conftest import KEY

HEARTEX = {"User-Agent": "heartex/1.23.2"}


def predict_body(*task_ids: int, **more):
    tasks = [{"id": k, "data": {"image": f"{k}.png"}} for k in task_ids]
    return {"tasks": tasks, "project": KEY, "label_config": RECTANGLES, "params": {}, **more}


def setup_body(**more):
    return {
        "project": KEY,
        "schema": RECTANGLES,
        "hostname": "http://ls:8080",
        "access_token": "secret",
        **more,
    }


def test_health_says_up_and_the_class(client):
    for path in ("/health", "/"):
        assert client.get(path).json == {"status": "UP", "model_class": "LearningBackend"}


def test_setup_remembers_the_connection(client):
    answer = client.post("/setup", json=setup_body(extra_params='{"epochs": 3}'))
    assert (answer.status_code, answer.json) == (200, {"model_version": "not-trained"})
    connection = client.services.projects.connection(KEY)
    assert (connection.hostname, connection.access_token) == ("http://ls:8080", "secret")
    assert connection.extra_params == {"epochs": 3}
    assert connection.label_config == RECTANGLES


@pytest.mark.parametrize("extra", ["", None, {}, "{}", {"epochs": 3}], ids=repr)
def test_setup_takes_every_form_of_extra_params(client, extra):
    assert client.post("/setup", json=setup_body(extra_params=extra)).status_code == 200
    assert client.services.projects.connection(KEY).extra_params_problem is None


@pytest.mark.parametrize(
    "extra",
    ["{", "[1]", [1], 7, '{"epochs": 0}', {"epoch": 3}, '{"epochs": NaN}', {"label_texts": ["a"]}],
    ids=repr,
)
def test_wrong_extra_params_leave_setup_alone_and_stand_in_the_connection(client, extra):
    assert client.post("/setup", json=setup_body(extra_params=extra)).status_code == 200
    assert "Extra params" in client.services.projects.connection(KEY).extra_params_problem


def test_a_full_disk_does_not_disconnect_the_model(client):
    add_version(client.services, KEY, "v7")
    client.services.documents.failure = StoreError("no space left on device")
    answer = client.post("/setup", json=setup_body())
    assert (answer.status_code, answer.json) == (200, {"model_version": "v7"})


def test_setup_reports_the_version_that_predictions_carry(client):
    add_version(client.services, KEY, "v7")
    reported = client.post("/setup", json=setup_body()).json["model_version"]
    entry = client.post("/predict", json=predict_body(1)).json["results"][0]
    assert entry["model_version"] == reported == "v7"


def test_predict_before_training_answers_an_empty_list_for_each_task(client):
    assert client.post("/predict", json=predict_body(1, 2)).json == {"results": [[], []]}


def test_predict_answers_in_the_order_of_the_tasks(client):
    add_version(client.services, KEY)
    results = client.post("/predict", json=predict_body(3, 99, 1)).json["results"]
    assert results[1] == []  # its image cannot be had
    for entry in (results[0], results[2]):
        assert {"result", "score", "model_version"} <= entry.keys()
        assert {region["value"]["rectanglelabels"][0] for region in entry["result"]} == {"Cat", "Dog"}


def test_predict_ignores_params_it_does_not_know(client):
    add_version(client.services, KEY)
    params = {"login": None, "password": None, "context": None, "tasks": 3, "services": 1, "project": {}}
    answer = client.post("/predict", json=predict_body(1, params=params))
    assert answer.status_code == 200
    assert len(answer.json["results"]) == 1


def test_predict_uses_the_threshold_of_the_request(client):
    add_version(client.services, KEY)
    entry = client.post("/predict", json=predict_body(1, params={"confidence_threshold": 0.85})).json
    assert len(entry["results"][0]["result"]) == 1


def test_predict_refuses_a_threshold_out_of_range(client):
    add_version(client.services, KEY)
    answer = client.post("/predict", json=predict_body(1, params={"confidence_threshold": 7}))
    assert answer.status_code == 400
    assert answer.json["field"] == "confidence_threshold"


@pytest.mark.parametrize("context", [{}, {"result": []}, {"result": None}], ids=repr)
def test_a_context_makes_the_call_interactive(client, context):
    answer = client.post("/predict", json=predict_body(1, params={"context": context}))
    assert answer.json["results"][0]["result"] == []
    assert len(client.services.interactive.asked) == 1


def test_two_calls_for_one_opened_task_bring_one_prediction(make_client):
    client = make_client(predictor=FakePredictor(seconds=0.3))
    add_version(client.services, KEY)
    answers = []

    def ask():
        with client.application.test_client() as own:
            answers.append(own.post("/predict", json=predict_body(1), headers=HEARTEX).json["results"])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(results[0]) > 0 for results in answers) == [False, True]


def test_two_calls_of_others_both_get_the_prediction(make_client):
    client = make_client(predictor=FakePredictor(seconds=0.2))
    add_version(client.services, KEY)
    answers = []

    def ask():
        with client.application.test_client() as own:
            answers.append(own.post("/predict", json=predict_body(1)).json["results"][0])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer["result"] for answer in answers)


def test_train_queues_and_names_the_job(client):
    body = {"project": KEY, "label_config": RECTANGLES, "annotations": [annotated(1, rectangle())]}
    answer = client.post("/train", json=body)
    assert answer.status_code == 201
    job = answer.json["job"]
    status = client.post("/job_status", json={"job": job}).json
    assert status["job_status"] == "queued"
    assert set(status["progress"]) == {"step", "fraction", "epoch", "epochs", "loss", "seconds_left"}
    assert client.get("/is_training?project=7").json == {"is_training": True}
    second = client.post("/train", json=body)
    assert (second.status_code, second.json["job"]) == (409, job)


def test_train_without_annotations_is_queued_and_an_empty_list_of_them_refused(client):
    empty = {"project": KEY, "label_config": RECTANGLES, "annotations": []}
    answer = client.post("/train", json=empty)
    assert (answer.status_code, answer.json["field"]) == (400, "annotations")
    assert "at least one labelled task" in answer.json["error"]
    assert "got an empty list" in answer.json["error"]
    assert client.services.queue.jobs == {}
    for body in ({**empty, "annotations": None}, {"project": "8", "label_config": RECTANGLES}):
        assert client.post("/train", json=body).status_code == 201


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"epochs": 0}, "epochs", ["1", "500", "0"]),
        ({"epochs": "many"}, "epochs", ["many"]),
        ({"learning_rate": 1}, "learning_rate", ["0.00001", "0.1", "1"]),
        ({"image_size": 300}, "image_size", ["224", "300"]),
        ({"banana": 1}, "banana", ["epochs"]),
        ({"enable_detection": False, "enable_segmentation": False}, "enable_detection", ["both"]),
        ({"start_from": "v404"}, "start_from", ["v404"]),
        ({"backbone": "resnet999"}, "backbone", ["timm", "resnet999"]),
        ({"epochs": float("inf")}, "epochs", ["500"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_train_refuses_parameters_naming_field_range_and_value(client, params, field, words):
    body = {"project": KEY, "label_config": RECTANGLES, "params": params}
    answer = client.post("/train", data=json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json["field"]) == (400, field)
    for word in words:
        assert word in answer.json["error"]
    assert client.services.queue.jobs == {}
    assert not [path for path in client.services.documents.content if path.startswith("jobs/")]


def test_train_leaves_nothing_behind_while_redis_is_away(client):
    client.services.queue.failure = QueueError("Redis is away")
    answer = client.post("/train", json={"project": KEY, "label_config": RECTANGLES})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert not [path for path in client.services.documents.content if path.startswith("jobs/")]


def start_training(**project):
    project = {"id": 7, "created_at": "2025-11-21T18:33:20.5Z", "label_config": RECTANGLES, **project}
    return {"action": "START_TRAINING", "project": project}


def test_start_training_queues_and_a_second_gets_the_follow_up(client):
    first = client.post("/webhook", json=start_training())
    assert first.status_code == 201
    job = first.json["job"]
    assert client.services.queue.record(job).project_key == KEY
    client.services.queue.labels_taken(job)
    followers = {client.post("/webhook", json=start_training()).json["job"] for _ in range(3)}
    assert len(followers) == 1
    assert followers != {job}


@pytest.mark.parametrize(
    "action",
    ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "TASKS_CREATED", "PROJECT_UPDATED", "SOMETHING_NEW"],
)
def test_events_are_accepted_and_train_nothing(client, action):
    client.post("/setup", json=setup_body())
    answer = client.post("/webhook", json={"action": action, "project": {"id": 7}})
    assert answer.status_code == 200
    assert client.services.queue.jobs == {}


def test_an_event_of_a_stranger_leaves_no_trace(client):
    before = dict(client.services.documents.content)
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 4711}, "annotation": {"result": "evil"}}
    assert client.post("/webhook", json=event).json == {"status": "ignored"}
    assert client.services.documents.content == before


def test_an_unknown_job_is_gone(client):
    for path in ("/job_status", "/stop"):
        assert client.post(path, json={"job": "nope"}).status_code == 410


def test_stop_ends_a_queued_job(client):
    job = client.post("/train", json={"project": KEY, "label_config": RECTANGLES}).json["job"]
    assert client.post("/stop", json={"job": job}).json["job_status"] == "stopped"
    assert client.get("/is_training?project=7").json == {"is_training": False}


def test_versions_of_a_project_and_of_all(client):
    add_version(client.services, KEY, "v1")
    add_version(client.services, "8.5", "v2")
    client.post("/setup", json=setup_body())
    client.post("/setup", json=setup_body(project="8.5"))
    assert client.get(f"/versions?project={KEY}").json == {"versions": ["v1"]}
    assert client.get("/versions").json == {"versions": ["v2", "v1"]}
    assert client.post("/versions", json={"project": "8.5"}).json == {"versions": ["v2"]}
    assert client.post("/versions").json == {"versions": ["v2", "v1"]}
    assert client.post("/versions", json=["8.5"]).status_code == 400


def test_validate(client):
    assert client.post("/validate", json={"config": RECTANGLES}).json["valid"] is True
    answer = client.post("/validate", json={"config": "<View><Text name='t' value='$t'/></View>"})
    assert (answer.status_code, answer.json["valid"]) == (400, False)


UNLABELLED = '<Brush name="nose" toName="image"/>'


def test_validate_names_the_tags_that_are_not_learned(client):
    config = RECTANGLES.replace("</View>", f"{UNLABELLED}</View>")
    [left_alone] = client.post("/validate", json={"config": config}).json["left_alone"]
    assert (left_alone["name"], left_alone["tag"], left_alone["draws"]) == ("nose", "Brush", True)
    assert "it has no labels" in left_alone["why"]


def test_setup_logs_once_which_tags_are_not_learned(client, caplog):
    config = RECTANGLES.replace("</View>", f"{UNLABELLED}</View>")
    for _ in range(3):
        client.post("/setup", json=setup_body(schema=config))
    said = [record.getMessage() for record in caplog.records if "not learned" in record.getMessage()]
    assert len(said) == 1 and "nose (Brush)" in said[0]


def test_validate_and_train_refuse_a_config_that_nothing_can_be_learned_from(client):
    config = f'<View><Image name="image" value="$image"/>{UNLABELLED}</View>'
    answer = client.post("/validate", json={"config": config})
    assert (answer.status_code, answer.json["valid"]) == (400, False)
    assert "nose (Brush)" in answer.json["error"]
    refused = client.post("/train", json={"project": KEY, "label_config": config})
    assert (refused.status_code, refused.json["error"]) == (400, answer.json["error"])
    assert client.services.queue.jobs == {}


def test_duplicate_model_copies_what_serves(client):
    add_version(client.services, KEY, "v1")
    body = {"project_src": KEY, "project_dst": "8.5"}
    copied = client.post("/duplicate_model", json=body).json["model_version"]
    assert client.services.versions.current("8.5") == copied
    assert client.services.store.card("8.5", copied).imported_from == "v1"
    assert client.post("/duplicate_model", json={"project_src": "9", "project_dst": "8.5"}).status_code == 409


def test_delete_stops_jobs_and_takes_the_model_out_of_service(client):
    client.post("/setup", json=setup_body())
    add_version(client.services, KEY, "v1")
    job = client.post("/train", json={"project": KEY, "label_config": RECTANGLES}).json["job"]
    answer = client.post("/delete", json={"project": KEY})
    assert answer.json == {"project": KEY, "stopped_jobs": [job]}
    assert client.post("/setup", json=setup_body()).json == {"model_version": "not-trained"}
    assert client.get(f"/versions?project={KEY}").json == {"versions": []}
    assert client.services.store.list(KEY)  # kept for a while


@pytest.mark.parametrize(
    "key", ["../../x", "7/8", "", "7.1.2", "abc", "-7", "7" * 40, None, 7.5, True, [7], {"id": 7}], ids=repr
)
@pytest.mark.parametrize("path", ["/setup", "/predict", "/train", "/delete"])
def test_a_project_id_of_wrong_form_is_refused(client, path, key):
    body = {"project": key, "tasks": [], "schema": RECTANGLES, "label_config": RECTANGLES}
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert "project" in answer.json["error"]
    assert client.services.documents.content == {}


RUBBISH = {
    "not json": b"{",
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "not utf-8": b'{"a": "\xff"}',
    "nested deeply": b"[" * 100_000,
    "empty object": b"{}",
}
POST_PATHS = (
    "/setup",
    "/predict",
    "/train",
    "/webhook",
    "/job_status",
    "/validate",
    "/delete",
    "/duplicate_model",
    "/stop",
)


@pytest.mark.parametrize("path", POST_PATHS)
@pytest.mark.parametrize("body", RUBBISH.values(), ids=RUBBISH.keys())
def test_a_body_that_is_no_request_is_refused_in_plain_words(client, path, body):
    answer = client.post(path, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/predict", {"tasks": 5, "project": KEY}, "tasks"),
        ("/predict", {"tasks": [5], "project": KEY}, "tasks.0"),
        ("/predict", {"tasks": [], "project": KEY, "label_config": 5}, "label_config"),
        ("/predict", {"tasks": [], "project": KEY, "params": []}, "params"),
        ("/predict", {"tasks": [], "project": KEY, "params": {"context": 5}}, "context"),
        ("/train", {"project": KEY, "annotations": {}}, "annotations"),
        ("/train", {"project": KEY, "annotations": []}, "annotations"),
        ("/train", {"project": KEY, "annotations": ["x"]}, "annotations.0"),
        ("/setup", {"project": KEY, "hostname": 5}, "hostname"),
        ("/stop", {"job": 5}, "job"),
        ("/webhook", {"action": 5}, "action"),
    ],
)
def test_a_wrong_type_is_refused_by_its_path(client, path, body, field):
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json.get("field")) == (400, field)


@pytest.mark.parametrize("config", ["<View", "", "<View/>", "<!DOCTYPE x><View/>", "nonsense"], ids=repr)
def test_a_config_that_cannot_be_used_is_refused(client, config):
    add_version(client.services, KEY)
    for path in ("/predict", "/train"):
        body = predict_body(1, label_config=config)
        answer = client.post(path, json=body)
        assert answer.status_code == 400, (path, answer.text)


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"id": 1},
        {"id": 1, "data": None},
        {"id": 1, "data": {}},
        {"data": {"image": 5}},
        {"id": "x", "data": []},
    ],
    ids=repr,
)
def test_a_task_without_image_costs_only_itself(client, task):
    add_version(client.services, KEY)
    results = client.post(
        "/predict", json=predict_body(1, tasks=[task, {"id": 2, "data": {"image": "2.png"}}])
    )
    assert results.status_code == 200
    assert results.json["results"][0] == []
    assert results.json["results"][1]["result"]


def test_a_body_over_the_limit_is_refused(make_client):
    client = make_client(settings={"max_body_bytes": 1000})
    answer = client.post("/predict", data=b"x" * 2000, content_type="application/json")
    assert answer.status_code == 413
    assert "MAX_BODY_BYTES" in answer.json["error"]


def test_unknown_routes_and_methods_are_answered_as_json(client):
    assert client.get("/nothing").status_code == 404
    assert client.get("/predict").status_code == 405
    assert client.get("/nothing").json["error"]
