"""What every LabelStudio does: the client of the HTTP API, and the fakes of the tests."""

from __future__ import annotations

import pytest

from backend.errors import LabelStudioGone
from backend.infra.labelstudio.api import LabelStudioApi
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.tasks import RECTANGLES
from tests.infra.ports.label_studio_wire import LabelStudioWire
from tests.panel_fakes import FakePanelLabelStudio

PROJECT = 7
TASKS = [{"id": number, "data": {"image": f"{number}.png"}} for number in range(1, 6)]


def _make(kind, request):
    if kind == "fake":
        return FakeLabelStudio(TASKS)
    if kind == "fake of the panel":
        label_studio = FakePanelLabelStudio(0, RECTANGLES)
        label_studio.known_tasks = list(TASKS)
        return label_studio
    web = request.getfixturevalue("web")
    web.routes = LabelStudioWire(PROJECT, TASKS, RECTANGLES)
    return LabelStudioApi(web.url, "legacy", timeout_s=5.0, sleep=lambda seconds: None)


@pytest.fixture(params=["http", "fake", "fake of the panel"])
def label_studio(request):
    return _make(request.param, request)


@pytest.fixture(params=["http", "fake of the panel"])
def whole(request):
    """One that has annotations too, and deletes."""
    return _make(request.param, request)


def prediction(task_id, version="v1", score=0.5):
    return {"task": task_id, "result": [], "score": score, "model_version": version}


def test_a_project(label_studio):
    project = label_studio.project(PROJECT)
    assert (project["label_config"], project["model_version"]) == (RECTANGLES, None)
    label_studio.set_model_version(PROJECT, "v1")
    assert label_studio.project(PROJECT)["model_version"] == "v1"
    assert [found["label_config"] for found in label_studio.projects()] == [RECTANGLES]


def test_tasks_in_pages(label_studio):
    tasks, total = label_studio.tasks(PROJECT, page=2, page_size=3)
    assert ([task["id"] for task in tasks], total) == ([4, 5], 5)
    assert tasks[0]["data"] == {"image": "4.png"}
    assert label_studio.tasks(PROJECT, page=9, page_size=3) == ([], 5)
    assert [task["id"] for task in label_studio.iterate_tasks(PROJECT, page_size=2)] == [1, 2, 3, 4, 5]


def test_predictions_by_task_and_version(label_studio):
    assert label_studio.import_predictions(PROJECT, [prediction(1), prediction(3), prediction(3, "v0")]) == 3
    assert label_studio.import_predictions(PROJECT, []) == 0
    assert [found["model_version"] for found in label_studio.predictions(3)] == ["v1", "v0"]
    assert label_studio.predictions(2) == []
    assert label_studio.predicted_task_ids(PROJECT, "v1") == {1, 3}
    assert label_studio.predicted_task_ids(PROJECT, "v1", among=[2, 3, 5]) == {3}
    assert label_studio.predicted_task_ids(PROJECT, "v1", among=[]) == set()
    assert label_studio.predicted_task_ids(PROJECT, "v9") == set()


def test_predictions_of_deleted_tasks_are_left_out(label_studio):
    assert label_studio.import_predictions(PROJECT, [prediction(1), prediction(99)]) == 1
    assert label_studio.predicted_task_ids(PROJECT, "v1") == {1}


def test_a_stored_prediction_has_an_id(label_studio):
    label_studio.import_predictions(PROJECT, [prediction(1), prediction(2)])
    ids = {label_studio.predictions(task_id)[0]["id"] for task_id in (1, 2)}
    assert len(ids) == 2


def test_annotations_are_made_read_and_deleted(whole):
    assert whole.export_annotated(PROJECT) == [] and whole.annotations(2) == []
    made = whole.create_annotation(2, [{"id": "r"}], lead_time=3.0)
    assert (made["result"], made["lead_time"]) == ([{"id": "r"}], 3.0)
    assert [found["id"] for found in whole.annotations(2)] == [made["id"]]
    (task,) = whole.export_annotated(PROJECT)
    assert (task["id"], task["data"]) == (2, {"image": "2.png"})
    assert [found["id"] for found in task["annotations"]] == [made["id"]]
    assert whole.tasks(PROJECT, page=1, page_size=2)[0][1]["total_annotations"] == 1
    whole.delete_annotation(made["id"])
    assert whole.annotations(2) == []
    with pytest.raises(LabelStudioGone):
        whole.delete_annotation(made["id"])


def test_an_annotation_gets_other_results(whole):
    made = whole.create_annotation(2, [{"id": "r"}], lead_time=3.0)
    changed = whole.update_annotation(made["id"], [{"id": "s"}])
    assert (changed["id"], changed["result"], changed["lead_time"]) == (made["id"], [{"id": "s"}], 3.0)
    assert [found["result"] for found in whole.annotations(2)] == [[{"id": "s"}]]
    with pytest.raises(LabelStudioGone):
        whole.update_annotation(made["id"] + 1, [])


def test_predictions_are_deleted_also_when_they_are_gone(whole):
    whole.import_predictions(PROJECT, [prediction(1), prediction(2)])
    (gone,) = whole.predictions(1)
    whole.delete_predictions([gone["id"]])
    whole.delete_predictions([gone["id"], whole.predictions(2)[0]["id"]])
    assert whole.predicted_task_ids(PROJECT, "v1") == set()


def test_a_task_has_the_mean_score_of_its_predictions(whole):
    whole.import_predictions(PROJECT, [prediction(1, score=0.25), prediction(1, "v0", 0.75), prediction(2)])
    assert whole.prediction_scores(PROJECT) == {1: 0.5, 2: 0.5}


def test_nothing_is_connected(whole):
    assert whole.ml_backends(PROJECT) == [] and whole.webhooks(PROJECT) == []


def test_the_order_in_which_tasks_are_handed_out(label_studio):
    assert label_studio.project(PROJECT)["sampling"] == "Sequential sampling"
    label_studio.set_sampling(PROJECT, "Uncertainty sampling")
    assert label_studio.project(PROJECT)["sampling"] == "Uncertainty sampling"


def test_tabs_of_the_data_manager_are_made_and_removed_also_when_they_are_gone(label_studio):
    first, second = (label_studio.create_view(PROJECT, {"title": title}) for title in ("a", "b"))
    assert first != second
    label_studio.delete_view(first)
    label_studio.delete_view(first)


def test_a_prediction_gets_another_score_and_keeps_its_results(label_studio):
    label_studio.import_predictions(PROJECT, [{**prediction(1), "result": [{"id": "r", "score": 0.5}]}])
    (stored,) = label_studio.predictions(1)
    label_studio.set_prediction_score(stored["id"], 0.125)
    (changed,) = label_studio.predictions(1)
    assert (changed["score"], changed["result"]) == (0.125, [{"id": "r", "score": 0.5}])
    with pytest.raises(LabelStudioGone):
        label_studio.set_prediction_score(stored["id"] + 1, 0.5)
