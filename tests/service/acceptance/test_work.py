from __future__ import annotations

import pytest

from backend.errors import (
    ConflictError,
    ImageDecodeError,
    LabelStudioError,
    NotEnoughData,
    NotFoundError,
    StoreError,
)
from tests.accepted import ANNOTATED, COUNT
from tests.fakes.lease import FakeLease
from tests.panel_fakes import KEY

SURE_TASKS = {task for task in range(ANNOTATED + 1, COUNT + 1) if task % 3}
DOUBTFUL_TASKS = {task for task in range(ANNOTATED + 1, COUNT + 1) if not task % 3}


def test_pictures_with_something_doubtful_in_them_are_counted_apart(counted):
    survey = counted.shown()["survey"]
    assert (survey["tasks"], survey["tasks_accepted"], survey["tasks_doubtful"]) == (
        16,
        len(SURE_TASKS),
        len(DOUBTFUL_TASKS),
    )
    assert survey["regions_accepted"] == 7 * len(SURE_TASKS)
    assert 0 < survey["mistakes_expected"] <= 0.03 * survey["regions_accepted"]
    assert survey["held_out_images"] == ANNOTATED and survey["version"] == "v1"
    assert counted.accepted_tasks() == set()


def test_tasks_that_cannot_be_predicted_are_told_and_not_counted(project):
    for task in (ANNOTATED + 1, ANNOTATED + 2):
        project.services.images.images[f"{task}.png"] = ImageDecodeError("cut off")
    warnings = project.count().report.warnings
    assert project.shown()["survey"]["tasks"] == COUNT - ANNOTATED - 2
    assert any(one.startswith("2 tasks are not counted") for one in warnings)


def test_a_precision_that_cannot_be_promised_accepts_nothing(counted):
    survey = counted.shown(0.999)["survey"]
    assert survey["tasks_accepted"] == 0 and all(one["score"] is None for one in survey["labels"])


def test_whole_pictures_are_accepted_and_every_region_names_its_batch(counted):
    counted.accept()
    assert counted.accepted_tasks() == SURE_TASKS
    (batch,) = counted.shown()["batches"]
    assert (batch["state"], batch["tasks"], batch["regions"]) == (
        "accepted",
        len(SURE_TASKS),
        7 * len(SURE_TASKS),
    )
    regions = counted.label_studio.annotations(min(SURE_TASKS))[0]["result"]
    assert all(
        one["meta"] == {"text": [batch["batch_id"]]} and one["origin"] == "prediction" for one in regions
    )
    assert counted.shown()["survey"]["tasks_accepted"] == 0


def test_a_batch_is_undone_as_a_whole_but_for_what_somebody_edited(counted):
    counted.accept()
    edited, deleted, *_ = sorted(SURE_TASKS)
    (annotation,) = counted.label_studio.annotations(edited)
    counted.label_studio.update_annotation(annotation["id"], annotation["result"][1:])
    counted.label_studio.delete_annotation(counted.label_studio.annotations(deleted)[0]["id"])
    batch_id = counted.shown()["batches"][0]["batch_id"]
    counted.run(counted.desk.requests.undo(KEY, batch_id))
    assert counted.accepted_tasks() == {edited}
    (batch,) = counted.shown()["batches"]
    assert (batch["state"], batch["kept"]) == ("undone", 1)
    with pytest.raises(ConflictError, match="undone already"):
        counted.desk.requests.undo(KEY, batch_id)
    with pytest.raises(NotFoundError):
        counted.desk.requests.undo(KEY, "accepted-never")


def test_what_somebody_annotated_meanwhile_is_passed_over(counted):
    theirs = min(SURE_TASKS)
    counted.label_studio.create_annotation(theirs, [])
    counted.accept()
    (batch,) = counted.shown()["batches"]
    assert batch["passed_over"] == 1 and len(counted.label_studio.annotations(theirs)) == 1


def test_a_paused_job_goes_on_and_accepts_nothing_twice(counted):
    job_id = counted.desk.requests.accept(KEY, 0.97)
    lease = FakeLease()
    create, made = counted.label_studio.create_annotation, []

    def create_and_pause(*args, **fields):
        made.append(args[0])
        lease.pause_requested = len(made) >= 3
        return create(*args, **fields)

    counted.label_studio.create_annotation = create_and_pause
    assert counted.run(job_id, lease).status == "requeue"
    assert counted.run(job_id).status == "finished"
    assert len(made) == len(set(made)) == len(SURE_TASKS)
    assert counted.shown()["batches"][0]["tasks"] == len(SURE_TASKS)


def failing_at(label_studio, number, error):
    """Let the annotation of that number fail, or be made without anybody hearing of it."""
    create, asked = label_studio.create_annotation, []

    def create_or_fail(*args, **fields):
        asked.append(args[0])
        if len(asked) != number:
            return create(*args, **fields)
        if isinstance(error, KeyboardInterrupt):  # as of a process that is killed
            create(*args, **fields)
        raise error

    label_studio.create_annotation = create_or_fail


def test_what_was_accepted_before_label_studio_went_away_can_be_undone(counted):
    failing_at(counted.label_studio, 4, LabelStudioError("away"))
    with pytest.raises(LabelStudioError):
        counted.accept()
    (batch,) = counted.shown()["batches"]
    assert (batch["state"], batch["tasks"]) == ("accepted", 3) and len(counted.accepted_tasks()) == 3


def test_a_job_that_goes_on_knows_what_a_killed_worker_made(counted):
    theirs = max(SURE_TASKS)
    counted.label_studio.create_annotation(theirs, [])
    job_id = counted.desk.requests.accept(KEY, 0.97)
    failing_at(counted.label_studio, 4, KeyboardInterrupt())
    note, counted.desk.kept.documents.failure = None, StoreError("nothing is written any more")
    with pytest.raises(StoreError):
        counted.run(job_id)
    counted.desk.kept.documents.failure = note
    assert counted.shown()["batches"] == [] and len(counted.accepted_tasks()) == 5
    assert counted.run(job_id).status == "finished"
    (batch,) = counted.shown()["batches"]
    assert (batch["tasks"], batch["passed_over"]) == (len(SURE_TASKS) - 1, 1)


def test_a_pause_counts_nothing_as_passed_over_twice(counted):
    theirs, *others = sorted(SURE_TASKS)
    counted.label_studio.create_annotation(theirs, [])
    job_id = counted.desk.requests.accept(KEY, 0.97)
    lease = FakeLease()
    create = counted.label_studio.create_annotation

    def create_and_pause(*args, **fields):
        lease.pause_requested = True
        return create(*args, **fields)

    counted.label_studio.create_annotation = create_and_pause
    assert counted.run(job_id, lease).status == "requeue"
    assert counted.run(job_id).status == "finished"
    (batch,) = counted.shown()["batches"]
    assert (batch["tasks"], batch["passed_over"]) == (len(others), 1)


@pytest.mark.parametrize(("mode", "status"), [("discard", "stopped"), (None, "requeue")])
def test_counting_ends_when_it_is_told_to_while_images_load(project, mode, status):
    job_id, lease = project.desk.requests.survey(KEY), FakeLease()
    if mode is None:
        lease.pause_requested = True
    else:
        project.services.queue.stop_modes[job_id] = mode
    assert project.run(job_id, lease).status == status


def test_another_version_has_to_be_counted_again(counted):
    counted.publish("v2")
    assert counted.shown()["survey"]["is_current"] is False
    with pytest.raises(ConflictError, match="count again"):
        counted.desk.requests.accept(KEY, 0.9)


def test_a_version_that_learned_from_everything_promises_nothing(project):
    project.publish("v2", held_out_tasks=())
    with pytest.raises(NotEnoughData, match="annotate more"):
        project.count()


def test_one_job_at_a_time(project):
    with pytest.raises(ConflictError, match="count first"):
        project.desk.requests.accept(KEY, 0.9)
    project.desk.requests.survey(KEY)
    with pytest.raises(ConflictError, match="works on that already"):
        project.desk.requests.survey(KEY)
