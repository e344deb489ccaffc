"""A project whose tasks bring their own labels: set up, trained, predicted, answered, checked, counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import NotEnoughData
from backend.service.checks.coverage import coverage_checks
from backend.service.jobs.jobs import RunningJob
from backend.service.panel.label_statistics import count_labels
from backend.service.predicting.answer import PredictRequest
from backend.service.text.reading import TextState
from model import LearningBackend
from tests.fakes.images import FakeImages
from tests.fakes.lease import FakeLease
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import annotated, picture, rectangle

KEY = "7.1763750000"
SHELF = """<View><RectangleLabels name="label" toName="image" value="$objects"/>
<Image name="image" value="$image"/></View>"""


def listed(*names):
    return [{"value": name, "background": "#123456"} for name in names]


def labelled(id_, objects, *labels):
    task = annotated(id_, *(rectangle(label) for label in labels))
    task["data"]["objects"] = objects
    return task


@pytest.fixture
def services(tmp_path):
    return make_services(tmp_path, images=FakeImages({f"{k}.png": picture() for k in range(1, 9)}))


def trained(services, tasks):
    job_id = services.backend.trainings.request(KEY, label_config=SHELF, tasks=tasks, follow_up=False)
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status="started")
    outcome = services.run(RunningJob(services.queue, services.queue.record(job_id), FakeLease()))
    return services.store.card(KEY, outcome.model_version), services.queue.record(job_id)


def test_label_studio_may_connect_before_there_is_any_task(services):
    client = services.app(lambda: LearningBackend).test_client()
    answer = client.post("/setup", json={"project": KEY, "schema": SHELF, "hostname": "", "access_token": ""})
    assert answer.status_code == 200
    checked = client.post("/validate", json={"config": SHELF})
    assert checked.json == {"valid": True, "labels": [], "left_alone": []}


def test_what_the_tasks_name_is_learned_all_together(services):
    card, record = trained(
        services,
        [
            labelled(1, listed("Cola", "Water"), "Cola"),
            labelled(2, listed("Juice", "Cola"), "Juice", "Cola"),
            labelled(3, "Cola, Juice", "Cola"),
            labelled(4, None, "Cola"),
            labelled(5, listed("Cola"), "Gone"),
        ],
    )
    assert set(card.labels) == {"Cola", "Water", "Juice"}
    assert card.counts.regions_by_label == {"Cola": 2, "Juice": 1, "Water": 0}
    assert record.details["unusable"] == {"task_without_labels": 2, "unknown_label": 1}
    assert record.details["left_out_where"]["task_without_labels"]["tasks"] == [3, 4]


def test_tasks_without_any_label_are_named_as_the_reason(services):
    with pytest.raises(NotEnoughData, match=r"no list of labels .*objects"):
        trained(services, [labelled(1, "Cola", "Cola")])


def test_a_task_is_predicted_with_its_own_labels_alone(tmp_path, caplog):
    images = FakeImages({f"{k}.png": picture() for k in range(1, 4)})
    services = make_services(tmp_path, images=images)
    add_version(services, KEY)
    tasks = [
        {"id": 1, "data": {"image": "1.png", "objects": listed("Cat")}},
        {"id": 2, "data": {"image": "2.png", "objects": listed("Dog", "Bird")}},
        {"id": 3, "data": {"image": "3.png", "objects": "Cat"}},
    ]
    entries = services.backend.predictions.predict(
        PredictRequest(project=KEY, label_config=SHELF, tasks=tasks)
    )
    found = [[region["value"]["rectanglelabels"] for region in entry["result"]] for entry in entries]
    assert found == [[["Cat"]], [["Dog"]], []]
    assert "1 of 3 tasks have no list of labels under objects" in caplog.text
    assert "task 3 is the first" in caplog.text


def test_the_check_says_where_the_labels_come_from(services):
    config = parse_label_config(SHELF)
    controls, labels = coverage_checks(config, None, TextState())
    assert (controls.state, controls.items[0].state) == ("ok", "ok")
    assert "labels come from each task ($objects)" in controls.items[0].why
    card, _ = trained(services, [labelled(1, listed("Cola", "Water"), "Cola")])
    _, labels = coverage_checks(config, card, TextState())
    assert labels.found == "2 of 2 labels of the config and the tasks are predicted."
    assert {item.name: item.why for item in labels.items}["Cola"] == (
        "learned from 1 object; predicted in tasks that name it"
    )


def test_the_labels_of_tasks_are_counted_with_their_colours():
    tasks = [labelled(1, listed("Cola", "Water"), "Cola"), labelled(2, listed("Juice"), "Juice")]
    counted = count_labels(iter(tasks), parse_label_config(SHELF))
    assert counted["total"] == 2 and counted["annotated_images"] == 2
    entries = {entry["label"]: entry for entry in counted["labels"]}
    assert (entries["Juice"]["shapes"], entries["Water"]["shapes"]) == (1, 0)
    assert all(entry["color"] == "#123456" and entry["in_config"] for entry in counted["labels"])
