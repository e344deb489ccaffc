from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.labelstudio.own_writes import MARKS, SECOND_LOOK, noted
from backend.service.acceptance.survey import Batch, KeptSurveys
from backend.service.ledger.desk import LISTED_EVERY_S
from backend.service.ledger.entries import KeptLedgers
from tests.panel_fakes import KEY, FakePanelLabelStudio, all_shapes, make_panel_services


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio()


@pytest.fixture
def services(tmp_path, label_studio):
    return make_panel_services(tmp_path, label_studio)


@pytest.fixture
def desk(services):
    return services.backend.ledger


def predict(label_studio, task_id, version="v1"):
    label_studio.import_predictions(
        7, [{"task": task_id, "result": all_shapes(), "score": 0.6, "model_version": version}]
    )
    return label_studio.predictions(task_id)[-1]


def annotate(label_studio, task_id, result, parent, **fields):
    return label_studio.create_annotation(task_id, result, parent_prediction=parent["id"], **fields)


def accepted(prediction, leave_out=0):
    results = [{**one, "origin": "prediction"} for one in prediction["result"]]
    return results[leave_out:]


def test_before_any_count_nothing_is_known(desk):
    told = desk.told(KEY)
    assert (told["counted_at"], told["annotations"], told["over_time"]) == (None, 0, [])


def test_what_was_added_up_is_told_again_until_anybody_counts_anew(desk, label_studio, services, monkeypatch):
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction)
    desk.count(KEY)
    reads = []
    read = KeptLedgers.read
    monkeypatch.setattr(KeptLedgers, "read", lambda self, key: reads.append(key) or read(self, key))
    assert [desk.told(KEY)["annotations"], desk.all_told()[KEY]["annotations"], reads] == [1, 1, []]
    second = predict(label_studio, 2)
    annotate(label_studio, 2, accepted(second), second)
    of_another_process = replace(desk)
    assert of_another_process.count(KEY)["annotations"] == 2
    assert desk.told(KEY)["annotations"] == desk.all_told()[KEY]["annotations"] == 2


def test_what_was_counted_is_not_read_again_to_see_that_it_is_the_same(desk, label_studio, monkeypatch):
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction)
    desk.count(KEY)
    desk.all_told()
    documents = type(desk.kept.documents)
    read, paths = documents.read, []
    monkeypatch.setattr(documents, "read", lambda self, path: paths.append(path) or read(self, path))
    assert desk.all_told()[KEY]["annotations"] == 1
    assert paths == [f"projects/{KEY}/ledger/counted_at.json"]


def test_entries_whose_moment_was_noted_but_that_came_later_are_told(desk, label_studio):
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction)
    desk.count(KEY)
    path = f"projects/{KEY}/ledger/entries.json"
    later = desk.kept.documents.read(path)
    before = {**later, "counted_at": 1.0, "entries": {}}
    desk.kept.documents.write(path, before)  # a process writes the moment, then the entries
    reader = replace(desk)
    assert reader.told(KEY)["annotations"] == 0
    desk.kept.documents.write(path, later)
    assert reader.told(KEY)["annotations"] == 1


def test_the_store_is_listed_once_a_minute_however_often_all_is_told(desk, label_studio, monkeypatch):
    listings, moment = [], [1000.0]
    desk = replace(desk, clock=lambda: moment[0])
    projects = KeptLedgers.projects
    monkeypatch.setattr(KeptLedgers, "projects", lambda self: listings.append(1) or projects(self))
    assert [desk.all_told(), desk.all_told(), len(listings)] == [{}, {}, 1]
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction)
    desk.count(KEY)
    moment[0] += LISTED_EVERY_S
    assert list(desk.all_told()) == [KEY] and len(listings) == 2


def test_acts_are_told_by_label_and_version_and_over_time(desk, label_studio):
    first, second = predict(label_studio, 1), predict(label_studio, 2, "v2")
    annotate(label_studio, 1, accepted(first), first)
    annotate(label_studio, 2, accepted(second, leave_out=1), second)
    label_studio.create_annotation(3, all_shapes())
    told = desk.count(KEY)
    assert told["annotations"] == 2 and told["incomplete"] == 0
    assert told["acts"]["deleted"] == 1 and told["acts"]["kept"] > 4
    assert [one["version"] for one in told["by_version"]] == ["v2", "v1"]
    assert sum(one["acts"]["kept"] for one in told["by_label"]) == told["acts"]["kept"]
    assert 0 < told["hours_saved"] < told["hours_by_hand"]
    assert [one["annotations"] for one in told["over_time"]] == [2]


def test_what_was_counted_stays_when_the_prediction_goes_and_goes_with_its_annotation(desk, label_studio):
    prediction = predict(label_studio, 1)
    annotation = annotate(label_studio, 1, accepted(prediction, leave_out=1), prediction)
    before = desk.count(KEY)
    label_studio.pushed.clear()
    label_studio.annotations_by_task[1][0]["parent_prediction"] = None
    label_studio.annotations_by_task[1][0]["updated_at"] = "2026-01-01T00:00:00Z"
    assert desk.count(KEY)["by_version"] == before["by_version"]
    label_studio.delete_annotation(annotation["id"])
    assert desk.count(KEY)["annotations"] == 0


def test_a_prediction_that_was_gone_before_is_said_to_be_incomplete(desk, label_studio):
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction)
    label_studio.pushed.clear()
    told = desk.count(KEY)
    assert (told["incomplete"], told["by_version"][0]["version"]) == (1, "")
    assert told["acts"]["kept"] > 0


def test_cancelled_annotations_and_unchanged_ones_cost_nothing(desk, label_studio):
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction, was_cancelled=True)
    assert desk.count(KEY)["annotations"] == 0
    annotate(label_studio, 1, accepted(prediction), prediction)
    told = desk.count(KEY)
    asked = []
    label_studio.predictions = lambda task_id: asked.append(task_id) or []
    again = desk.count(KEY)
    assert asked == [] and again["acts"] == told["acts"]


def accept_in_batch(services, label_studio, task_id, batch_id="accepted-1f"):
    batch = Batch(batch_id, 1.0, "v3", 0.9, "accepted", regions=10, mistakes=1.0)
    KeptSurveys(services.backend.jobs.documents).note(KEY, batch)
    return label_studio.create_annotation(task_id, noted(all_shapes(), batch_id))


def test_what_was_accepted_in_a_batch_counts_as_that_with_its_version_and_without_its_mistakes(
    services, desk, label_studio
):
    accept_in_batch(services, label_studio, 1)
    told = desk.count(KEY)
    assert (told["annotations"], told["incomplete"]) == (1, 0)
    assert (told["acts"]["accepted"], told["acts"]["kept"]) == (len(all_shapes()), 0)
    assert [one["version"] for one in told["by_version"]] == ["v3"]
    by_hand_s = 3 * told["costs_s"]["mask"] + told["costs_s"]["box"]
    assert told["hours_saved"] == told["hours_by_hand"] == pytest.approx(0.9 * by_hand_s / 3600, abs=1e-3)


def test_what_was_accepted_and_edited_counts_as_edited(services, desk, label_studio):
    annotation = accept_in_batch(services, label_studio, 1)
    desk.count(KEY)
    label_studio.update_annotation(annotation["id"], annotation["result"][1:])
    told = desk.count(KEY)
    assert (told["acts"]["accepted"], told["acts"]["deleted"]) == (0, 1)
    assert told["acts"]["kept"] == len(all_shapes()) - 1
    assert [one["version"] for one in told["by_version"]] == ["v3"]


def test_a_taken_proposal_of_a_second_look_is_a_repair_and_the_hand_keeps_its_work(desk, label_studio):
    drawn = [{**one, "origin": "manual"} for one in all_shapes()[1:]]
    label_studio.create_annotation(1, [*drawn, *noted(all_shapes()[:1], SECOND_LOOK)])
    told = desk.count(KEY)
    assert told["acts"]["repaired"] == 1 and sum(told["acts"].values()) == 1
    assert [one["version"] for one in told["by_version"]] == [SECOND_LOOK]


def test_predictions_that_hold_what_somebody_drew_or_nothing_save_nothing(desk, label_studio):
    for task_id, version in ((1, SECOND_LOOK), (2, MARKS)):
        annotate(label_studio, task_id, all_shapes(), predict(label_studio, task_id, version))
    told = desk.count(KEY)
    assert (told["annotations"], told["hours_by_hand"]) == (0, 0)


def test_entries_of_earlier_rules_are_counted_anew(services, desk, label_studio):
    annotation = accept_in_batch(services, label_studio, 1)
    desk.kept.documents.write(
        f"projects/{KEY}/ledger/entries.json",
        {
            "counted_at": 1.0,
            "entries": {
                annotation["id"]: [
                    "",
                    1.0,
                    f"{annotation['created_at']} 4",
                    False,
                    [["Cell", "BOX", "kept", 4]],
                ]
            },
        },
    )
    assert desk.told(KEY)["acts"]["kept"] == 4
    assert desk.count(KEY)["acts"]["accepted"] == len(all_shapes())


def test_the_seconds_of_an_act_are_those_of_the_setting(tmp_path, label_studio):
    prediction = predict(label_studio, 1)
    annotate(label_studio, 1, accepted(prediction), prediction)
    told = {}
    for seconds in ((), (("box", 3600.0), ("look", 0.0))):
        services = make_panel_services(
            tmp_path / str(len(seconds)), label_studio, settings={"annotation_seconds": seconds}
        )
        told[seconds] = services.backend.ledger.count(KEY)
    usual, slower = told.values()
    assert (slower["costs_s"]["box"], slower["costs_s"]["mask"]) == (3600, usual["costs_s"]["mask"])
    # One of the regions is a box.
    assert slower["hours_by_hand"] - usual["hours_by_hand"] == pytest.approx(1 - 7 / 3600, abs=1e-3)
    assert slower["hours_saved"] == slower["hours_by_hand"]
