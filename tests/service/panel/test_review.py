from __future__ import annotations

import pytest

from backend.errors import ConflictError, NotFoundError, RequestError
from backend.service.panel.held_predictions import HeldPredictions
from backend.service.panel.review import SHOWN_FROM_SCORE, UNDO_S, Review
from backend.service.projects.task_index import TaskIndex
from tests.fakes.documents import FakeDocuments
from tests.fakes.services import connections_to
from tests.panel_fakes import KEY, FakePanelLabelStudio, all_shapes

VERSION = "v1"


class Desk:
    """A Review with a clock, a version and a model that can be set."""

    def __init__(self):
        self.label_studio = FakePanelLabelStudio(4)
        self.documents = FakeDocuments()
        self.now = 1000.0
        self.version = VERSION
        self.asked = []
        self.index = TaskIndex(
            lambda key: self.label_studio,
            lambda key: self.version,
            HeldPredictions(self.documents).of_project,
        )
        self.review = self.another_process()

    def another_process(self):
        return Review(
            held=HeldPredictions(self.documents),
            documents=self.documents,
            connections=connections_to(self.label_studio),
            versions=self,
            predict=self.predict,
            index=self.index,
            clock=lambda: self.now,
        )

    def serving(self, key):
        return self.version

    def predict(self, key, task, lowest_score):
        self.asked.append((key, task["id"], lowest_score))
        if self.version is None:
            return None
        return {"result": all_shapes(), "score": 0.63, "model_version": self.version}

    def store(self, task_id, version=VERSION, result=None):
        prediction = {
            "task": task_id,
            "result": result or all_shapes(),
            "score": 0.4,
            "model_version": version,
        }
        self.label_studio.import_predictions(7, [prediction])

    def shown(self, task_id=1):
        return self.review.view(KEY, task_id)["prediction"]

    def accept(self, task_id=1, **changes):
        shown = self.shown(task_id)
        wish = {
            "prediction_id": shown["prediction_id"],
            "model_version": shown["model_version"],
            "confidence_threshold": 0.1,
        }
        return self.review.accept(KEY, task_id, **{**wish, **changes})


@pytest.fixture
def desk():
    return Desk()


def test_a_prediction_is_asked_for_from_a_tenth_up_and_held(desk):
    view = desk.review.predict(KEY, 2)
    assert desk.asked == [(KEY, 2, SHOWN_FROM_SCORE)]
    assert view["prediction"]["score"] == 0.63
    assert view["prediction"]["is_current_version"]
    assert not view["prediction"]["is_stored_in_label_studio"]
    assert desk.label_studio.pushed == []
    assert desk.another_process().view(KEY, 2)["prediction"] == view["prediction"]
    assert HeldPredictions(desk.documents).of_project(KEY)[2].version == VERSION


def test_without_a_model_there_is_nothing_to_show(desk):
    desk.version = None
    with pytest.raises(ConflictError, match="train one first"):
        desk.review.predict(KEY, 1)
    assert desk.review.view(KEY, 1)["prediction"] is None


@pytest.mark.parametrize(
    ("stored", "held", "serving", "expected"),
    [
        (["v1"], None, "v1", "label-studio"),
        (["v1"], "v1", "v1", "panel"),
        (["v1"], "v0", "v1", "label-studio"),
        (["v1"], "v2", "v2", "panel"),
        (["v1", "v2"], None, "v1", "label-studio"),
        (["v0"], None, "v1", "label-studio"),
    ],
    ids=[
        "stored only",
        "held is newer",
        "held is older",
        "held serves",
        "an older one serves",
        "none serves",
    ],
)
def test_the_serving_version_is_shown_before_the_newer_prediction(desk, stored, held, serving, expected):
    for version in stored:
        desk.store(1, version)
    if held is not None:
        desk.version = held
        desk.review.predict(KEY, 1)
    desk.version = serving
    shown = desk.shown()
    assert shown["prediction_id"].startswith(expected)
    assert shown["is_current_version"] == (serving in [*stored, held])


def test_every_result_of_a_chosen_region_goes_along(desk):
    """A plain tag and its labels are two results of one id."""
    pair = [{**all_shapes()[0], "id": "pair"}, {**all_shapes()[1], "id": "pair"}, all_shapes()[2]]
    desk.store(1, result=pair)
    assert desk.accept(region_ids=["pair"], confidence_threshold=None)["regions"] == 1
    [annotation] = desk.label_studio.annotations(1)
    assert [result["id"] for result in annotation["result"]] == ["pair", "pair"]
    assert {result["origin"] for result in annotation["result"]} == {"prediction"}


def test_regions_without_score_pass_every_threshold(desk):
    bare = {name: value for name, value in all_shapes()[0].items() if name != "score"}
    desk.store(1, result=[bare, all_shapes()[3]])
    assert desk.accept(confidence_threshold=0.9)["regions"] == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"confidence_threshold": None},
        {"confidence_threshold": 0.99},
        {"region_ids": [], "confidence_threshold": None},
    ],
    ids=["nothing named", "all below", "empty list"],
)
def test_nothing_is_no_annotation(desk, wish):
    desk.store(1)
    with pytest.raises(RequestError) as caught:
        desk.accept(**wish)
    assert not isinstance(caught.value, ConflictError)
    assert desk.label_studio.annotations(1) == []


def test_annotations_that_were_seen_do_not_stand_in_the_way(desk):
    desk.store(1)
    seen = desk.label_studio.create_annotation(1, [])["id"]
    with pytest.raises(ConflictError, match="meanwhile"):
        desk.accept()
    assert desk.accept(annotation_ids=[seen])["regions"] == 4
    assert desk.index.row(KEY, 1).annotations == 2


def test_undo_takes_back_what_another_process_accepted(desk):
    desk.review.predict(KEY, 1)
    accepted = desk.accept()
    desk.now += UNDO_S / 2
    other = desk.another_process()
    view = other.view(KEY, 1)
    assert view["undo"] == {"annotation_id": accepted["annotation_id"], "undo_seconds_left": UNDO_S / 2}
    assert view["prediction"]["is_accepted"]
    view = other.undo_accept(KEY, 1)
    assert view["annotations"] == [] and view["undo"] is None
    assert not view["prediction"]["is_accepted"]


def test_undo_of_an_annotation_that_is_gone_already_is_done(desk):
    desk.store(1)
    desk.label_studio.delete_annotation(desk.accept()["annotation_id"])
    assert desk.review.undo_accept(KEY, 1)["undo"] is None
    with pytest.raises(NotFoundError):
        desk.review.undo_accept(KEY, 1)


@pytest.mark.parametrize("what", ["edited", "late"])
def test_undo_leaves_alone_what_others_rely_on(desk, what):
    desk.store(1)
    desk.accept()
    if what == "edited":
        desk.label_studio.annotations_by_task[1][0]["result"] = []
    else:
        desk.now += UNDO_S + 1
    with pytest.raises(ConflictError):
        desk.review.undo_accept(KEY, 1)
    assert len(desk.label_studio.annotations(1)) == 1


def test_what_is_deleted_in_label_studio_can_be_accepted_again(desk):
    desk.store(1)
    desk.label_studio.delete_annotation(desk.accept()["annotation_id"])
    assert not desk.shown()["is_accepted"]
    assert desk.accept()["regions"] == 4


def test_clearing_counts_both_places_and_leaves_other_tasks(desk):
    desk.store(1)
    desk.store(1, "v0")
    desk.store(2)
    desk.review.predict(KEY, 1)
    assert desk.review.clear(KEY, 1) == {"cleared": 3}
    assert desk.review.clear(KEY, 1) == {"cleared": 0}
    assert [item["task"] for item in desk.label_studio.pushed] == [2]
    assert HeldPredictions(desk.documents).of_project(KEY) == {}
    row = desk.index.row(KEY, 1)
    assert (row.predictions, row.predicted_by, row.score) == (0, "", None)
