from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.core.labelstudio.own_writes import SECOND_LOOK, note_of
from backend.errors import ConflictError, LabelStudioError, NotFoundError, StoreError
from backend.service.second_look.findings import KeptFindings, Taken
from backend.service.second_look.repairs import Repairs
from tests.looked_at import sound_result
from tests.panel_fakes import KEY


def take(project, task_id):
    found = project.finding_of(task_id)
    project.desk.repairs.take(KEY, found["finding_id"])
    return found


def by_id(result):
    return {one["id"]: one for one in result}


def test_another_label_is_written_into_the_region(looked):
    take(looked, 2)
    assert looked.result_of(2) == sound_result(2)


def test_a_missing_object_is_added_and_says_where_it_comes_from(looked):
    before = looked.result_of(1)
    take(looked, 1)
    *kept, added = looked.result_of(1)
    assert kept == before and (added["origin"], note_of(added)) == ("prediction", SECOND_LOOK)
    assert added["value"]["rectanglelabels"] == sound_result(1)[0]["value"]["rectanglelabels"]


def test_a_badly_placed_object_is_moved_and_keeps_its_id_and_label(looked):
    take(looked, 3)
    moved, wanted = looked.result_of(3)[0], sound_result(3)[0]
    assert moved["id"] == wanted["id"]
    assert moved["value"]["x"] == pytest.approx(wanted["value"]["x"], abs=2)
    assert moved["value"]["rectanglelabels"] == wanted["value"]["rectanglelabels"]


def test_an_object_too_many_goes(looked):
    found = take(looked, 4)
    assert found["region_id"] not in {one["id"] for one in looked.result_of(4)}


@pytest.mark.parametrize("task_id", [1, 2, 3, 4])
def test_what_was_taken_is_taken_back_whole(looked, task_id):
    before = looked.result_of(task_id)
    found = take(looked, task_id)
    assert looked.finding_of(task_id)["state"] == "taken"
    looked.desk.repairs.undo(KEY, found["finding_id"])
    assert by_id(looked.result_of(task_id)) == by_id(before)
    assert looked.finding_of(task_id)["state"] == "open"


def test_two_people_who_take_proposals_of_one_annotation_at_once_lose_none(looked):
    kept, connections = looked.desk.kept, looked.services.connections
    locks = looked.services.locks
    found = [one["finding_id"] for one in looked.listed()["findings"] if one["task_id"] == 5][:2]
    update = looked.label_studio.update_annotation

    def slow_update(annotation_id, result):
        time.sleep(0.1)
        return update(annotation_id, result)

    looked.label_studio.update_annotation = slow_update
    with ThreadPoolExecutor(2) as people:
        # Each asks a web process of its own.
        jobs = [people.submit(Repairs(kept, connections, locks).take, KEY, one) for one in found]
        assert [job.result()["state"] for job in jobs] == ["taken", "taken"]
    result = looked.result_of(5)
    assert result[0]["value"]["rectanglelabels"] == sound_result(5)[0]["value"]["rectanglelabels"]
    assert len(result) == len(sound_result(5))


def test_an_annotation_that_changed_meanwhile_is_left_alone(looked):
    result = looked.result_of(2)
    changed = [*result[:-1], {**result[-1], "value": {**result[-1]["value"], "x": 1.0}}]
    looked.label_studio.update_annotation(looked.annotation_of[2], changed)
    with pytest.raises(ConflictError, match="changed since the second look"):
        take(looked, 2)
    assert looked.result_of(2) == changed


def test_a_deleted_annotation_cannot_be_repaired(looked):
    found = looked.finding_of(2)
    looked.label_studio.delete_annotation(looked.annotation_of[2])
    with pytest.raises(ConflictError, match="deleted"):
        looked.desk.repairs.take(KEY, found["finding_id"])


def test_what_was_edited_after_it_was_taken_is_not_taken_back(looked):
    found = take(looked, 2)
    _, *rest = looked.result_of(2)
    looked.label_studio.update_annotation(looked.annotation_of[2], rest)
    with pytest.raises(ConflictError, match="edited meanwhile"):
        looked.desk.repairs.undo(KEY, found["finding_id"])


def test_what_label_studio_refuses_is_not_taken(looked):
    before = looked.result_of(2)
    update = looked.label_studio.update_annotation

    def refuse(annotation_id, result):
        raise LabelStudioError("Label Studio does not answer")

    looked.label_studio.update_annotation = refuse
    with pytest.raises(LabelStudioError):
        take(looked, 2)
    looked.label_studio.update_annotation = update
    assert looked.finding_of(2)["state"] == "open" and looked.result_of(2) == before
    take(looked, 2)


def test_what_was_changed_is_taken_back_though_noting_it_failed(looked, monkeypatch):
    before = looked.result_of(2)

    def fail(*args):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(KeptFindings, "note_fingerprint", fail)
        take(looked, 2)
    found = looked.finding_of(2)
    assert found["state"] == "taken" and looked.result_of(2) != before
    looked.desk.repairs.undo(KEY, found["finding_id"])
    assert looked.result_of(2) == before


def test_a_taking_that_ended_before_the_change_is_undone(looked):
    before, found = looked.result_of(2), looked.finding_of(2)
    (finding,) = [f for f in looked.desk.kept.look(KEY).findings if f.finding_id == found["finding_id"]]
    looked.desk.kept.write_taken(KEY, finding.finding_id, Taken(finding.annotation_id, finding.correction))
    looked.desk.repairs.undo(KEY, finding.finding_id)
    assert looked.finding_of(2)["state"] == "open" and looked.result_of(2) == before


def test_two_proposals_of_one_annotation_are_taken_and_taken_back_in_any_order(looked):
    before = looked.result_of(5)
    two = [one["finding_id"] for one in looked.listed()["findings"] if one["task_id"] == 5][:2]
    assert len(two) == 2
    for finding_id in two:
        looked.desk.repairs.take(KEY, finding_id)
    for finding_id in two:
        looked.desk.repairs.undo(KEY, finding_id)
    assert by_id(looked.result_of(5)) == by_id(before)


def test_a_proposal_is_taken_once_and_what_is_not_listed_is_not_found(looked):
    found = take(looked, 2)
    with pytest.raises(ConflictError, match="taken already"):
        looked.desk.repairs.take(KEY, found["finding_id"])
    with pytest.raises(ConflictError, match="undo that first"):
        looked.desk.repairs.dismiss(KEY, found["finding_id"])
    with pytest.raises(NotFoundError):
        looked.desk.repairs.take(KEY, "nothing")


def test_a_dismissed_finding_is_listed_apart_and_comes_back_when_that_is_undone(looked):
    found = looked.finding_of(3)
    looked.desk.repairs.dismiss(KEY, found["finding_id"])
    assert found["finding_id"] not in {one["finding_id"] for one in looked.listed()["findings"]}
    (dismissed,) = looked.listed(show="dismissed")["findings"]
    assert (dismissed["finding_id"], dismissed["state"]) == (found["finding_id"], "dismissed")
    looked.desk.repairs.undo(KEY, found["finding_id"])
    assert looked.finding_of(3)["finding_id"] == found["finding_id"]
    with pytest.raises(NotFoundError, match="nothing to undo"):
        looked.desk.repairs.undo(KEY, found["finding_id"])
