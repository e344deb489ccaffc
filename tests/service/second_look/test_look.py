from __future__ import annotations

import itertools

import pytest

from backend.core.labelstudio.own_writes import SECOND_LOOK
from backend.errors import ConflictError, ImageNotFound, NotEnoughData
from tests.fakes.lease import FakeLease
from tests.looked_at import NumberedImages
from tests.panel_fakes import KEY


def test_planted_errors_are_listed_first_and_called_by_what_they_are(looked):
    answer = looked.listed()
    first = {one["task_id"]: one["kind"] for one in answer["findings"][:7]}
    assert first.items() >= {1: "missing_object", 2: "other_label", 3: "badly_placed"}.items()
    assert first[4] == "object_too_many" and 5 in first
    assert (answer["version"], answer["images"]) == ("v1", 30)
    chances = [one["probability"] for one in answer["findings"]]
    assert chances == sorted(chances, reverse=True)


def test_a_finding_shows_what_is_drawn_and_what_is_proposed(looked):
    wrong = looked.finding_of(2)
    assert wrong["region_id"] == wrong["drawn"][0]["id"] == "r2-0"
    assert [wrong["proposed_label"]] == wrong["proposed"][0]["value"]["rectanglelabels"] != wrong["labels"]
    missing = looked.finding_of(1)
    assert missing["region_id"] is None and missing["drawn"] == [] and len(missing["proposed"]) == 1


def test_only_images_that_the_version_did_not_learn_from_are_looked_at(project):
    project.publish("v2", held_out_tasks=[1, 5, 6])
    project.look()
    answer = project.listed()
    assert answer["images"] == 3 and answer["version"] == "v2"
    assert {one["task_id"] for one in answer["findings"]} <= {1, 5, 6}


def test_an_image_that_goes_while_it_is_looked_at_is_said(project, monkeypatch):
    project.publish("v2", held_out_tasks=[1, 5, 6])
    load, asked = NumberedImages.load_rgb, []

    def load_once(self, reference, access):
        asked.append(reference)
        if asked.count("6.png") > 1 and reference == "6.png":
            raise ImageNotFound("there is no image 6.png")
        return load(self, reference, access)

    monkeypatch.setattr(NumberedImages, "load_rgb", load_once)
    outcome = project.look()
    assert project.listed()["images"] == 2
    assert "1 annotated image was not compared: gone meanwhile" in outcome.report.warnings


def test_a_version_that_learned_from_everything_does_not_look(project):
    project.publish("v2", held_out_tasks=[])
    with pytest.raises(NotEnoughData, match="learned from every annotated image"):
        project.look()


def test_all_images_are_looked_at_by_three_versions_that_learned_from_the_others(project):
    outcome = project.look("all")
    assert (outcome.status, project.listed()["images"], project.listed()["version"]) == ("finished", 30, None)
    learned = [{sample.task_id for sample in inputs.samples} for inputs in project.services.train.inputs]
    assert [len(tasks) for tasks in learned] == [20, 20, 20]
    assert set.intersection(*learned) == set()
    assert all(not inputs.recipe.tuning_seconds(100.0) for inputs in project.services.train.inputs)
    assert {1, 2, 3, 4, 5} <= {one["task_id"] for one in project.listed()["findings"][:7]}
    assert project.services.store.current(KEY) == "v1"


def test_a_second_one_waits_for_the_first_and_needs_a_model(project):
    project.desk.requests.request(KEY, "unseen", pushes=False)
    with pytest.raises(ConflictError, match="wait for"):
        project.desk.requests.request(KEY, "all", pushes=False)


def test_a_stopped_look_keeps_what_was_found_before(looked):
    job_id = looked.desk.requests.request(KEY, "all", pushes=False)
    looked.services.queue.stop_modes[job_id] = "discard"
    assert looked.run(job_id).status == "stopped"
    assert looked.listed()["version"] == "v1"


@pytest.mark.parametrize(("mode", "status"), [("discard", "stopped"), (None, "requeue")])
def test_a_look_ends_when_it_is_told_to_among_its_images(project, mode, status):
    job_id, lease = project.desk.requests.request(KEY, "unseen", pushes=False), FakeLease()
    predictor = project.services.versions.predictor(KEY)

    def tell(images):
        lease.pause_requested = mode is None
        if mode is not None:
            project.services.queue.stop_modes[job_id] = mode

    predictor.failure = tell
    assert project.run(job_id, lease, clock=itertools.count().__next__).status == status
    assert len(predictor.batches) == 1 and project.listed()["made_at"] is None


def test_pushed_predictions_show_the_repaired_annotation_and_replace_those_of_the_look_before(project):
    stale = {"task": 20, "result": [], "score": 0.1, "model_version": SECOND_LOOK}
    project.label_studio.import_predictions(7, [stale])
    project.look(pushes=True)
    (stored,) = [p for p in project.label_studio.predictions(2) if p["model_version"] == SECOND_LOOK]
    region = next(one for one in stored["result"] if one["id"] == "r2-0")
    assert region["value"]["rectanglelabels"] == [project.finding_of(2)["proposed_label"]]
    assert stored["score"] < 0.5
    assert project.label_studio.predictions(20) == []


def test_what_was_dismissed_does_not_come_back_with_another_look(looked):
    missing = looked.finding_of(1)
    looked.desk.repairs.dismiss(KEY, missing["finding_id"])
    looked.look()
    assert all(one["kind"] != "missing_object" or one["task_id"] != 1 for one in looked.listed()["findings"])
