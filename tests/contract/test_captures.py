"""What a real Label Studio 1.23.2 sent, replayed; the answers have to be ones that it stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.service.predicting.answer import PredictRequest, config_of
from tests.fakes.images import FakeImages
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import picture

CAPTURES = Path(__file__).parent / "captures"


def capture(name: str) -> dict:
    return json.loads((CAPTURES / f"{name}.json").read_text())["request"]


REQUESTS = sorted(path.stem for path in CAPTURES.glob("*.json") if "request" in json.loads(path.read_text()))


class AnyImage(FakeImages):
    def load_rgb(self, reference, access):
        self.asked.append((reference, access))
        return picture(320, 240)


class Model:
    def __init__(self, project_id, label_config, backend):
        self.project, self.config, self.backend = project_id, label_config, backend

    def predict(self, tasks, context=None, login=None, password=None, is_label_studio=False, **params):
        if context:
            config = config_of(self.backend.projects, self.project, self.config)
            access = self.backend.connections.image_access(self.project)
            return [self.backend.smart_tools.answer(tasks[0], config, context, self.project, access)]
        request = PredictRequest(
            self.project, self.config, tasks, params, login, password, is_label_studio=is_label_studio
        )
        return self.backend.predictions.predict(request)


@pytest.fixture
def client(tmp_path):
    services = make_services(tmp_path, images=AnyImage())
    client = services.app(lambda: Model).test_client()
    client.services = services
    return client


def replay(client, name: str):
    request = capture(name)
    return client.open(
        request["path"],
        method=request["method"],
        json=request["json"] if request["method"] == "POST" else None,
        headers={key: value for key, value in request["headers"].items() if key != "Content-Type"},
    )


@pytest.mark.parametrize("name", REQUESTS)
def test_every_recorded_request_is_answered_with_a_json_object(client, name):
    answer = replay(client, name)
    assert 200 <= answer.status_code < 300
    assert isinstance(answer.json, dict)


@pytest.mark.parametrize("name", [name for name in REQUESTS if name.startswith("predict")])
def test_predictions_are_ones_that_label_studio_stores(client, name):
    add_version(client.services, capture(name)["json"]["project"])
    results = replay(client, name).json["results"]
    assert len(results) == len(capture(name)["json"]["tasks"])
    for prediction in results:
        assert isinstance(prediction["model_version"], str)
        assert isinstance(prediction["score"], float)
        assert 0 <= prediction["score"] <= 1
        assert prediction["result"]
        for region in prediction["result"]:
            assert {"id", "from_name", "to_name", "type", "value"} <= region.keys()
            assert (region["original_width"], region["original_height"]) == (320, 240)
            assert region["image_rotation"] == 0
            assert 0 <= region["score"] <= 1


@pytest.mark.parametrize("name", [name for name in REQUESTS if name.startswith("interactive")])
def test_interactive_answers_are_one_object(client, name):
    results = replay(client, name).json["results"]
    assert len(results) == 1
    assert isinstance(results[0]["result"], list)


def test_setup_webhook_and_predict_mean_one_project(client):
    replay(client, "setup_no_extra_params")
    key = capture("setup_no_extra_params")["json"]["project"]
    assert client.services.projects.canonical(key.partition(".")[0]) == key


def test_start_training_without_anything_else_queues_one_job(client):
    job = replay(client, "webhook_start_training").json["job"]
    event = capture("webhook_start_training")["json"]["project"]
    record = client.services.queue.record(job)
    assert record.project_key.startswith(f"{event['id']}.")
    assert record.project_key == capture("predict_open_task")["json"]["project"]
