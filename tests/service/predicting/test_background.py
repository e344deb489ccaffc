from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.tiling import Tiling
from backend.errors import (
    LabelStudioAuthError,
    LabelStudioError,
    LabelStudioGone,
    QueueError,
    VersionError,
)
from backend.service.engine import pipeline
from backend.service.jobs.jobs import RunningJob
from backend.service.ports import WorkerState
from backend.service.predicting.pace import Pace
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, picture

KEY = "7.1763750000"
CREDENTIALS = {"label_studio_url": "http://ls", "label_studio_api_key": "k"}


def tasks(*ids):
    return [{"id": k, "data": {"image": f"{k}.png"}} for k in ids]


@pytest.fixture
def label_studio():
    return FakeLabelStudio(tasks(*range(1, 101)))


@pytest.fixture
def services(tmp_path, label_studio):
    return prepared(tmp_path, label_studio, FakePredictor())


def prepared(tmp_path, label_studio, predictor):
    images = FakeImages({f"{k}.png": picture() for k in range(1, 101)})
    services = make_services(
        tmp_path,
        images=images,
        label_studio=label_studio,
        settings=CREDENTIALS,
        predictor=predictor,
        pace=Pace(push_waits_s=(0.0, 0.0), tasks_per_shard=20, read_shards_every_s=0.0),
    )
    add_version(services, KEY)
    services.projects.remember(KEY, label_config=RECTANGLES)
    return services


def running(services, job_id, lease=None):
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status="started")
    return RunningJob(services.queue, services.queue.record(job_id), lease or FakeLease())


def hand_over(services, *ids):
    return services.backend.background.finish(KEY, "v1", tasks(*ids), RECTANGLES, {})


def test_tasks_that_were_left_are_predicted_and_pushed(services, label_studio):
    job = running(services, hand_over(services, 3, 4, 5))
    outcome = services.run(job)
    assert (outcome.status, outcome.model_version) == ("finished", "v1")
    assert sorted(item["task"] for item in label_studio.pushed) == [3, 4, 5]
    assert all(item["model_version"] == "v1" and item["result"] for item in label_studio.pushed)
    progress = services.queue.record(job.job_id).progress
    assert progress == {"done": 3, "total": 3, "pushed": 3}
    assert label_studio.model_version is None


TILING = Tiling(side_px=60, overlap=0.2)
TILES = len(TILING.views_of(ImageSize(1200, 60)))


def cutting_predictor(seconds_a_tile=0.0):
    """A predictor that cuts into `TILING`."""
    predictor, views = FakePredictor(), FakePredictor(seconds=seconds_a_tile)
    predictor.in_tiles = SimpleNamespace(tiling=TILING, uncut=views, most_regions=100)
    return predictor


def progress_shown(services):
    """The list of all progress that jobs show from now on."""
    shown, update = [], services.queue.update

    def note(job_id, **fields):
        shown.extend([fields["progress"]] if "progress" in fields else [])
        update(job_id, **fields)

    services.queue.update = note
    return shown


@pytest.mark.parametrize("ids", [(3,), (3, 4)])
def test_tiles_of_large_pictures_are_counted_while_they_are_predicted(
    tmp_path, label_studio, monkeypatch, ids
):
    monkeypatch.setattr(pipeline, "_LOOK_UP_S", 0.01)
    services = prepared(tmp_path, label_studio, cutting_predictor(seconds_a_tile=0.02))
    services.images.images |= {f"{k}.png": picture(1200, 60) for k in ids}
    shown = progress_shown(services)
    job = running(services, hand_over(services, *ids))
    job = RunningJob(services.queue, job.record, FakeLease(), clock=count().__next__)  # shows every change
    services.run(job)
    known = TILES * len(ids)
    assert {"done": 0, "total": len(ids), "pushed": 0, "tiles": 0, "tiles_total": TILES} in shown[:3]
    assert shown[-1] == {
        "done": len(ids), "total": len(ids), "pushed": len(ids), "tiles": known, "tiles_total": known
    }  # fmt: skip
    assert any(0 < one["tiles"] < one["tiles_total"] for one in shown if "tiles" in one)


def test_a_job_that_goes_on_counts_tiles_of_what_it_left_half_done_anew(tmp_path, label_studio):
    services = prepared(tmp_path, label_studio, cutting_predictor())
    services.images.images["3.png"] = picture(1200, 60)
    job_id = hand_over(services, 3)
    reached = {"done": 0, "total": 1, "pushed": 0, "tiles": 4, "tiles_total": TILES}
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], progress=reached)
    services.run(running(services, job_id))
    assert services.queue.record(job_id).progress == {
        "done": 1, "total": 1, "pushed": 1, "tiles": 4 + TILES, "tiles_total": 4 + TILES
    }  # fmt: skip


def test_a_second_click_queues_only_what_no_job_has(services):
    hand_over(services, 1, 2, 3)
    assert hand_over(services, 1, 2, 3) is None
    second = hand_over(services, 3, 4)
    document = services.documents.read(services.queue.record(second).payload_path)
    assert [task["id"] for task in document["tasks"]] == [4]


def test_a_task_that_got_its_prediction_meanwhile_is_not_pushed_again(services, label_studio):
    job = running(services, hand_over(services, 1, 2))
    label_studio.pushed.append({"task": 1, "result": [], "score": 0.0, "model_version": "v1"})
    services.run(job)
    assert sorted(item["task"] for item in label_studio.pushed) == [1, 2]


def test_an_older_versions_prediction_does_not_count(services, label_studio):
    label_studio.pushed.append({"task": 1, "result": [], "score": 0.0, "model_version": "v0"})
    services.run(running(services, hand_over(services, 1)))
    assert len(label_studio.pushed) == 2


def test_a_whole_project_is_predicted_and_then_its_version_set(services, label_studio):
    job = running(services, services.backend.background.predict_project(KEY))
    services.run(job)
    assert len(label_studio.pushed) == 100
    assert len({item["task"] for item in label_studio.pushed}) == 100
    assert label_studio.model_version == "v1"


def test_the_version_is_not_set_while_a_task_lacks_its_prediction(services, label_studio):
    del services.images.images["50.png"]
    job = running(services, services.backend.background.predict_project(KEY))
    services.run(job)
    assert len(label_studio.pushed) == 99
    assert label_studio.model_version is None
    assert services.queue.record(job.job_id).details["tasks_without_prediction"] == [50]


def test_the_version_is_not_set_where_that_is_switched_off(services, label_studio):
    services = replace(services, settings=replace(services.settings, set_model_version=False))
    services.run(running(services, services.backend.background.predict_project(KEY)))
    assert label_studio.model_version is None


def test_the_version_is_not_set_for_some_tasks_only(services, label_studio):
    services.run(running(services, services.backend.background.predict_project(KEY, [1, 2])))
    assert sorted(item["task"] for item in label_studio.pushed) == [1, 2]
    assert label_studio.model_version is None


def test_a_waiting_job_for_the_whole_project_is_not_doubled(services):
    first = services.backend.background.predict_project(KEY)
    assert services.backend.background.predict_project(KEY) == first


def test_before_any_training_there_is_nothing_to_predict_with(tmp_path):
    with pytest.raises(VersionError, match="train it first"):
        make_services(tmp_path).backend.background.predict_project(KEY)


def test_a_label_studio_that_is_away_for_a_moment_is_asked_again(services, label_studio):
    job = running(services, hand_over(services, 1))
    label_studio.failures = [LabelStudioError("502"), LabelStudioError("timeout")]
    services.run(job)
    assert [item["task"] for item in label_studio.pushed] == [1]


@pytest.mark.parametrize("error", [LabelStudioAuthError("401"), LabelStudioGone("404")])
def test_what_waiting_cannot_mend_fails_at_once(services, label_studio, error):
    job = running(services, hand_over(services, 1))
    label_studio.failures = [error]
    with pytest.raises(type(error)):
        services.run(job)


def test_a_stop_keeps_what_was_pushed(services, label_studio):
    job = running(services, services.backend.background.predict_project(KEY))
    services.queue.request_stop(job.job_id, mode="discard")
    outcome = services.run(job)
    assert outcome.status == "stopped"
    assert len(label_studio.pushed) < 100
    assert label_studio.model_version is None


def test_a_worker_that_has_to_leave_puts_the_job_back(services, label_studio):
    lease = FakeLease()
    lease.pause_requested = True
    job = running(services, services.backend.background.predict_project(KEY), lease)
    assert services.run(job).status == "requeue"
    lease.pause_requested = False
    services.run(running(services, job.job_id, lease))
    assert sorted(item["task"] for item in label_studio.pushed) == list(range(1, 101))


def run_part(services, job_id):
    outcome = services.run(running(services, job_id))
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status=outcome.status)


@pytest.fixture
def several_workers(services):
    services.queue.worker_state = lambda: WorkerState(workers=4, busy=1, waiting=0)
    return services


def test_a_large_project_is_shared_and_what_nobody_takes_is_done_here(several_workers, label_studio):
    services = several_workers
    job = running(services, services.backend.background.predict_project(KEY))
    services.run(job)
    assert sorted(item["task"] for item in label_studio.pushed) == list(range(1, 101))
    record = services.queue.record(job.job_id)
    assert len(record.details["parts"]) == 4
    assert record.progress == {"done": 100, "total": 100, "pushed": 100}
    assert label_studio.model_version == "v1"


def test_other_workers_take_parts(several_workers, label_studio):
    services = several_workers
    job = running(services, services.backend.background.predict_project(KEY))
    record, taken = services.queue.record, []

    def record_and_work(job_id):
        found = record(job_id)
        if found.status == "queued" and len(taken) < 2:  # another worker was faster
            taken.append(job_id)
            services.queue.record = record
            run_part(services, job_id)
            services.queue.record = record_and_work
            return record(job_id)
        return found

    services.queue.record = record_and_work
    services.run(job)
    assert len(taken) == 2
    assert sorted(item["task"] for item in label_studio.pushed) == list(range(1, 101))
    assert record(job.job_id).progress == {"done": 100, "total": 100, "pushed": 100}


def test_a_part_counts_while_another_worker_is_at_it(several_workers, label_studio):
    services = several_workers
    job = running(services, services.backend.background.predict_project(KEY))
    record, update, begun, shown = services.queue.record, services.queue.update, [], []

    def elsewhere(job_id):
        found = record(job_id)
        if found.status == "queued" and not begun:  # the first part that is looked at
            ids = [task["id"] for task in services.documents.read(found.payload_path)["tasks"][:7]]
            done = [{"task": k, "result": [], "score": 0.0, "model_version": "v1"} for k in ids]
            label_studio.import_predictions(7, done)
            progress = {"done": 7, "total": 20, "pushed": 7}
            services.queue.jobs[job_id] = replace(found, status="started", progress=progress)
            begun.append(job_id)
        elif job_id in begun and len(label_studio.pushed) == 87:  # nothing else is left
            services.queue.record = record
            run_part(services, job_id)
        return record(job_id)

    def note(job_id, **fields):
        if job_id == job.job_id and "progress" in fields:
            shown.append(fields["progress"])
        update(job_id, **fields)

    services.queue.record, services.queue.update = elsewhere, note
    services.run(job)
    assert {"done": 47, "total": 100, "pushed": 47} in shown  # two parts of 20 here, 7 tasks there
    assert shown[-1] == {"done": 100, "total": 100, "pushed": 100}


def test_what_parts_could_not_predict_is_counted_with_the_rest(several_workers):
    services = several_workers
    for task_id in (3, 98, 99):
        del services.images.images[f"{task_id}.png"]
    job = running(services, services.backend.background.predict_project(KEY))
    record = services.queue.record

    def run_at_once(job_id):
        if record(job_id).status == "queued":
            services.queue.record = record
            run_part(services, job_id)
            services.queue.record = run_at_once
        return record(job_id)

    services.queue.record = run_at_once
    services.run(job)
    details = record(job.job_id).details
    assert details["tasks_without_prediction"] == [3, 98, 99]
    assert details["tasks_without_prediction_count"] == 3


def test_a_part_that_fails_elsewhere_is_done_here(several_workers, label_studio):
    services = several_workers
    job = running(services, services.backend.background.predict_project(KEY))
    record = services.queue.record

    def fail_first(job_id):
        found = record(job_id)
        if found.status == "queued":
            services.queue.record = record
            services.queue.jobs[job_id] = replace(found, status="failed")
            return services.queue.jobs[job_id]
        return found

    services.queue.record = fail_first
    services.run(job)
    assert sorted(item["task"] for item in label_studio.pushed) == list(range(1, 101))


def test_redis_away_in_the_middle_costs_only_the_sharing(several_workers, label_studio):
    services = several_workers
    job = running(services, services.backend.background.predict_project(KEY))
    push, enqueue, queued = label_studio.import_predictions, services.queue.enqueue, []

    def enqueue_two(*arguments, **options):
        if len(queued) == 2:
            services.queue.failure = QueueError("Redis is away")
        queued.append(enqueue(*arguments, **options))
        return queued[-1]

    def push_and_bring_redis_back(project_id, predictions):
        if len(label_studio.pushed) > 30:
            services.queue.failure = None
        return push(project_id, predictions)

    services.queue.enqueue = enqueue_two
    label_studio.import_predictions = push_and_bring_redis_back
    assert services.run(job).status == "finished"
    assert sorted(item["task"] for item in label_studio.pushed) == list(range(1, 101))


def test_nothing_is_left_behind_while_redis_is_away(services):
    services.queue.failure = QueueError("Redis is away")
    with pytest.raises(QueueError):
        services.backend.background.predict_project(KEY)
    assert not [path for path in services.documents.content if path.startswith("jobs/")]
