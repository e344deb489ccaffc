"""`/predict` of a project that nobody has trained, by the names of its labels."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from backend.bootstrap.named_networks import zero_shot
from backend.core.regions.brush_rle import decode_brush_rle
from backend.service.jobs.jobs import RunningJob
from backend.service.projects.parameters import training_params
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.services import add_version
from tests.fakes.tasks import RECTANGLES
from tests.fakes.zero_shot import NAME, FakeZeroShot
from tests.tiny_text_detectors import save_tiny_owl
from tests.web.conftest import KEY

CREDENTIALS = {"label_studio_url": "http://ls", "label_studio_api_key": "k"}
SHAPES = """
<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="paint" toName="image"><Label value="red_cell"/></BrushLabels>
  <PolygonLabels name="outline" toName="image"><Label value="Platelet"/></PolygonLabels>
  <RectangleLabels name="box" toName="image"><Label value="red_cell"/></RectangleLabels>
</View>
"""
NOISE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def tasks(*ids):
    return [{"id": k, "data": {"image": f"{k}.png"}} for k in ids]


def body(*ids, config=RECTANGLES, **more):
    return {"tasks": tasks(*ids), "project": KEY, "label_config": config, **more}


def connect(client, config=RECTANGLES, **more):
    answer = client.post(
        "/setup",
        json={"project": KEY, "schema": config, "hostname": "http://ls", "access_token": "t", **more},
    )
    return answer.json["model_version"]


def predict(client, *ids, **more):
    return client.post("/predict", json=body(*ids, **more)).json["results"]


def labels(entry):
    return [region["value"][region["type"]][0] for region in entry["result"]]


@pytest.fixture
def network():
    return FakeZeroShot()


@pytest.fixture
def client(make_client, network):
    return make_client(
        label_studio=FakeLabelStudio(tasks(*range(1, 20))), zero_shot=network.make, settings=CREDENTIALS
    )


@pytest.fixture(scope="module")
def tiny_owl(tmp_path_factory):
    return save_tiny_owl(tmp_path_factory.mktemp("networks") / "tiny owl (v2)")


@pytest.fixture
def real_client(make_client, tiny_owl):
    images = FakeImages({"1.png": NOISE})
    return make_client(images=images, zero_shot=lambda projects: zero_shot(tiny_owl, projects, lambda: "cpu"))


def awaited(client):
    assert client.services.zero_shot._network.awaited(60) is not None, client.services.zero_shot.state


def test_an_untrained_project_gets_boxes_of_its_labels_under_the_version_that_setup_names(client):
    assert connect(client) == NAME
    one, two = predict(client, 1, 2)
    assert one["model_version"] == two["model_version"] == NAME
    assert sorted(labels(one)) == ["Cat", "Dog"] and one["score"] == 0.5


def test_once_a_version_is_trained_label_studio_is_told_another_one_and_asks_again(client, network):
    connect(client)
    predict(client, 1)
    add_version(client.services, KEY, "v1")
    assert connect(client) == "v1"
    network.asked.clear()
    assert predict(client, 1)[0]["model_version"] == "v1" and network.asked == []


def test_the_labels_are_asked_for_by_name_or_by_the_texts_of_the_connection(client, network):
    connect(client, SHAPES)
    predict(client, 1, config=SHAPES)
    assert network.asked[-1].labels == ("red_cell", "Platelet")
    assert network.asked[-1].texts == ("red cell", "Platelet")
    connect(client, SHAPES, extra_params='{"label_texts": {"red_cell": "erythrocyte"}, "epochs": 3}')
    predict(client, 1, config=SHAPES)
    assert network.asked[-1].texts == ("erythrocyte", "Platelet")


@pytest.mark.parametrize(
    "texts", [["erythrocyte"], {"red_cell": ""}, {"red_cell": 1}, {"red_cell": "x" * 201}]
)
def test_texts_that_cannot_be_used_are_named_and_the_labels_are_asked_for_by_name(client, network, texts):
    connect(client, SHAPES, extra_params={"label_texts": texts})
    assert 'label_texts must be an object of a text by label, such as {"RBC"' in (
        client.services.projects.connection(KEY).extra_params_problem
    )
    predict(client, 1, config=SHAPES)
    assert network.asked[-1].texts == ("red cell", "Platelet")


def test_the_texts_are_no_parameters_of_a_training(client):
    connect(client, extra_params={"label_texts": {"Cat": "a cat"}, "epochs": 3})
    params, origins = training_params(client.services.projects, KEY, {})
    assert params.epochs == 3 and origins["epochs"] == "Extra params"


def test_masks_are_asked_for_only_where_a_tag_draws_them(client, network):
    predict(client, 1, config=SHAPES)
    predict(client, 1)
    assert [asked.with_masks for asked in network.asked] == [True, False]


def test_what_is_not_done_by_the_deadline_is_pushed_by_a_worker(make_client):
    network = FakeZeroShot(seconds=0.4)
    label_studio = FakeLabelStudio(tasks(*range(1, 20)))
    settings = {**CREDENTIALS, "predict_deadline_s": 1.0}
    client = make_client(label_studio=label_studio, zero_shot=network.make, settings=settings)
    connect(client)
    started = time.monotonic()
    results = predict(client, *range(1, 9))
    assert time.monotonic() - started < 3
    left = [k for k, entry in enumerate(results, 1) if entry == []]
    assert 0 < len(left) < 8
    run_job(client)
    assert sorted(item["task"] for item in label_studio.pushed) == left
    assert {item["model_version"] for item in label_studio.pushed} == {NAME}


def test_while_the_network_is_downloaded_tasks_are_left_to_a_worker_who_waits_for_it(make_client):
    may_load = threading.Event()
    network = FakeZeroShot(before_loading=lambda: may_load.wait(30))
    label_studio = FakeLabelStudio(tasks(1, 2))
    client = make_client(label_studio=label_studio, zero_shot=network.make, settings=CREDENTIALS)
    assert connect(client) == NAME
    assert predict(client, 1, 2) == [[], []]
    threading.Timer(0.2, may_load.set).start()
    run_job(client)
    assert sorted(item["task"] for item in label_studio.pushed) == [1, 2]
    assert labels(predict(client, 1)[0])


def run_job(client):
    services = client.services
    [record] = services.queue.records(KEY)
    services.queue.jobs[record.job_id] = replace(services.queue.jobs[record.job_id], status="started")
    services.run(RunningJob(services.queue, services.queue.record(record.job_id), FakeLease()))


def test_a_whole_project_is_predicted_before_any_training_and_its_version_set(client):
    connect(client)
    client.services.backend.background.predict_project(KEY)
    run_job(client)
    label_studio = client.services.connections.label_studio(KEY)
    assert len(label_studio.pushed) == 19 and label_studio.model_version == NAME


def test_with_a_network_that_cannot_be_used_everything_is_as_without_one(make_client, caplog):
    network = FakeZeroShot(problem="the hub has no a/b")
    client = make_client(zero_shot=network.make, settings=CREDENTIALS)
    assert "ZERO_SHOT_MODEL a/b cannot be used: the hub has no a/b" in caplog.text
    assert connect(client) == "not-trained"
    assert predict(client, 1, 2) == [[], []]
    assert client.services.queue.records(KEY) == []
    add_version(client.services, KEY, "v1")
    assert predict(client, 1)[0]["model_version"] == "v1"


def test_a_real_network_draws_what_each_tag_of_the_config_takes(real_client):
    awaited(real_client)
    assert connect(real_client, SHAPES) == "zero-shot-tiny-owl-v2"
    [entry] = predict(real_client, 1, config=SHAPES)
    by_type = {}
    for region in entry["result"]:
        by_type.setdefault(region["type"], []).append(region)
    assert set(by_type) == {"brushlabels", "polygonlabels", "rectanglelabels"}
    painted = decode_brush_rle(by_type["brushlabels"][0]["value"]["rle"]).reshape(60, 90)
    assert 0 < np.count_nonzero(painted) < painted.size
    assert len(by_type["polygonlabels"][0]["value"]["points"]) >= 3
