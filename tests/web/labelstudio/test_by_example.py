"""A project with a labelled object and no trained version, as Label Studio meets it over HTTP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import backend.nn.by_example.predictor  # noqa: F401 - so that no request waits for torch
from backend.bootstrap.by_example import by_example
from backend.core.geometry.boxes import box_iou
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.jobs.jobs import RunningJob
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version, connections_to
from tests.fakes.version_store import FakeVersionStore
from tests.like_scenes import HEIGHT, WIDTH, scene
from tests.web.conftest import KEY

CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="Coin"/><Label value="Crate"/></RectangleLabels>
</View>"""
UNLABELLED = [{"id": k, "data": {"image": f"{k}.png"}} for k in (11, 12)]


def labelled_task(seed):
    """Return a task with every thing of its picture labelled."""
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    place = {"from_name": "label", "to_name": "image", "type": "rectanglelabels", **size}
    result = []
    for number, (label, (left, top, right, bottom)) in enumerate(scene(seed)[1]):
        value = {
            "x": 100 * left / WIDTH,
            "y": 100 * top / HEIGHT,
            "width": 100 * (right - left) / WIDTH,
            "height": 100 * (bottom - top) / HEIGHT,
            "rotation": 0,
            "rectanglelabels": [label],
        }
        result.append({"id": f"r{number}", **place, "value": value})
    return {
        "id": seed,
        "data": {"image": f"{seed}.png"},
        "annotations": [{"id": seed, "result": result}],
    }


@pytest.fixture
def labelled(make_client, tmp_path):
    """A client of a service that never trained, whose Label Studio has one labelled task."""
    label_studio = FakeLabelStudio([labelled_task(1)], CONFIG)
    images = FakeImages({f"{k}.png": scene(k)[0] for k in (1, 2, 11, 12)})
    store = FakeVersionStore(tmp_path / "store")
    stand_in = by_example(images, connections_to(label_studio), wait_s=300)
    versions = LoadedVersions(store, lambda folder: FakePredictor(version=folder.name), stand_ins=[stand_in])
    client = make_client(
        label_studio=label_studio,
        images=images,
        store=store,
        versions=versions,
        settings={"predict_deadline_s": 90.0},
    )
    client.label_studio = label_studio
    return client


def predicted(client, tasks=UNLABELLED):
    return client.post("/predict", json={"project": KEY, "label_config": CONFIG, "tasks": tasks}).json[
        "results"
    ]


def setup(client):
    body = {"project": KEY, "schema": CONFIG, "hostname": "http://ls", "access_token": "k"}
    return client.post("/setup", json=body).json["model_version"]


def test_one_labelled_picture_predicts_others_under_the_name_that_setup_says(labelled):
    version = setup(labelled)
    assert version.startswith("by-example-")
    for task, entry in zip(UNLABELLED, predicted(labelled), strict=True):
        assert entry["model_version"] == version
        truth = scene(task["id"])[1]
        boxes = np.array([box for _, box in truth], np.float32)
        values = [region["value"] for region in entry["result"]]
        found = np.array([[v["x"], v["y"], v["x"] + v["width"], v["y"] + v["height"]] for v in values])
        iou = box_iou(boxes, (found / 100 * [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32))
        assert (iou.max(axis=1) > 0.5).mean() >= 0.8
        best = iou.argmax(axis=1)
        told = [values[k]["rectanglelabels"] == [label] for k, (label, _) in zip(best, truth, strict=True)]
        assert np.mean(told) >= 0.8


def test_the_panel_says_what_predictions_come_from(labelled):
    version = setup(labelled)
    model = labelled.get(f"/api/projects/{KEY}/state").json["model"]
    assert (model["is_trained"], model["version"]) == (False, version)
    assert model["stand_in"] == "by example of 5 labelled objects in 1 image"


def test_a_trained_version_takes_over(labelled):
    assert setup(labelled).startswith("by-example-")
    version = add_version(labelled.services, KEY)
    assert setup(labelled) == version
    assert {entry["model_version"] for entry in predicted(labelled)} == {version}


def test_a_project_that_was_deleted_is_not_predicted(make_client, tmp_path):
    label_studio = FakeLabelStudio([labelled_task(1)], CONFIG)
    images = FakeImages({"1.png": scene(1)[0]})
    stand_in = by_example(images, connections_to(label_studio), wait_s=300)
    versions = LoadedVersions(
        FakeVersionStore(tmp_path / "store"),
        lambda folder: FakePredictor(),
        stand_ins=[stand_in],
        is_retired=lambda key: True,
    )
    client = make_client(label_studio=label_studio, images=images, versions=versions)
    assert setup(client) == "not-trained"


def test_switched_off_nothing_is_predicted_before_a_training(make_client):
    client = make_client(label_studio=FakeLabelStudio([labelled_task(1)], CONFIG))
    assert setup(client) == "not-trained"
    assert predicted(client) == [[], []]


def test_tasks_are_left_to_a_worker_while_the_examples_are_being_learned(make_client, tmp_path):
    label_studio = FakeLabelStudio([labelled_task(1), *UNLABELLED], CONFIG)
    images = FakeImages({f"{k}.png": scene(k)[0] for k in (1, 11, 12)})
    stand_in = by_example(images, connections_to(label_studio), wait_s=0.0)
    versions = LoadedVersions(
        FakeVersionStore(tmp_path / "store"), lambda folder: FakePredictor(), stand_ins=[stand_in]
    )
    settings = {"label_studio_url": "http://ls", "label_studio_api_key": "k"}
    client = make_client(label_studio=label_studio, images=images, versions=versions, settings=settings)
    version = setup(client)
    assert predicted(client) == [[], []]
    services = client.services
    [record] = services.queue.records(KEY)
    services.queue.jobs[record.job_id] = replace(services.queue.jobs[record.job_id], status="started")
    services.run(RunningJob(services.queue, services.queue.record(record.job_id), FakeLease()))
    assert sorted(pushed["task"] for pushed in label_studio.pushed) == [11, 12]
    assert {pushed["model_version"] for pushed in label_studio.pushed} == {version}


def test_a_labelled_picture_that_cannot_be_read_leaves_the_project_unpredicted(labelled):
    del labelled.services.images.images["1.png"]
    assert predicted(labelled) == [[], []]
