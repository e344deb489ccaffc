from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from backend.errors import LabelStudioError, QueueError
from backend.service.projects.documents import AutoTrain, ProjectSettings
from backend.service.upkeep.housekeeping import Housekeeping
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES

KEY = "7.1763750000"
PROJECT = {"id": 7, "created_at": "2025-11-21T18:33:20Z"}


class Counted(FakeLabelStudio):
    annotations = 0
    reads = 0

    def project(self, project_id):
        self.reads += 1
        return {**super().project(project_id), "total_annotations_number": self.annotations}


@pytest.fixture
def now():
    return [1_000_000.0]


@pytest.fixture
def label_studio():
    return Counted([{"id": 1, "data": {"image": "1.png"}}])


@pytest.fixture
def services(tmp_path, label_studio, now):
    services = make_services(
        tmp_path,
        label_studio=label_studio,
        settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
        now=lambda: now[0],
    )
    services.projects.remember(KEY, label_config=RECTANGLES)
    return services


@pytest.fixture
def keeping(services, now):
    return services.housekeeping(clock=lambda: now[0])


def auto_train(services, annotations=3, quiet_minutes=1.0):
    rule = AutoTrain(annotations, quiet_minutes)
    services.projects.save_settings(KEY, ProjectSettings(auto_train=rule))


def trainings(services):
    return [job for job in services.queue.jobs.values() if job.kind == "train"]


def test_a_burst_of_annotations_queues_one_training_once_it_is_quiet(services, keeping, now, label_studio):
    auto_train(services)
    label_studio.annotations = 3
    for _ in range(3):
        assert services.backend.events.note("ANNOTATION_CREATED", PROJECT) == "ok"
    now[0] += 10
    keeping.tick()
    assert trainings(services) == []  # quiet, but not for a minute
    now[0] += 60
    keeping.tick()
    keeping.tick()
    assert len(trainings(services)) == 1


def test_too_few_changes_train_nothing(services, keeping, now):
    auto_train(services)
    services.backend.events.note("ANNOTATION_CREATED", PROJECT)
    now[0] += 600
    keeping.tick()
    assert trainings(services) == []


def test_a_bulk_accept_and_deletions_count_each_annotation(services, keeping, now, label_studio):
    auto_train(services, annotations=5)
    label_studio.annotations = 5
    services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 4)
    services.backend.events.note("ANNOTATIONS_DELETED", PROJECT, 1)
    now[0] += 600
    keeping.tick()
    assert len(trainings(services)) == 1


def test_two_web_processes_count_together_and_train_once(services, keeping, now, label_studio):
    elsewhere = replace(services)
    other = elsewhere.housekeeping(clock=lambda: now[0])
    auto_train(services, annotations=5)
    label_studio.annotations = 5
    services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 3)
    elsewhere.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 2)
    now[0] += 600
    reads = label_studio.reads
    for _ in range(2):
        keeping.tick()
        other.tick()
    assert len(trainings(services)) == 1
    assert label_studio.reads == reads + 1


def test_what_is_heard_while_redis_or_label_studio_is_away_counts_later(
    services, keeping, now, label_studio, monkeypatch
):
    auto_train(services)
    label_studio.annotations = 3
    label_studio.failures = [LabelStudioError("away")]
    services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 3)
    now[0] += 600
    with monkeypatch.context() as patch:
        patch.setattr(services.changes, "add", fails_with(QueueError("away")))
        keeping.tick()
    assert trainings(services) == []
    keeping.tick()  # Redis is back, Label Studio is not
    assert trainings(services) == []
    now[0] += 61
    keeping.tick()
    keeping.tick()
    assert len(trainings(services)) == 1


def fails_with(error):
    def fail(*args):
        raise error

    return fail


def test_it_is_off_by_default(services, keeping, now):
    services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 1000)
    now[0] += 6000
    keeping.tick()
    assert trainings(services) == []


def test_events_that_lie_train_nothing_and_read_once(services, keeping, now, label_studio):
    auto_train(services)
    label_studio.annotations = 3
    services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 3)
    now[0] += 100
    keeping.tick()
    services.queue.jobs.clear()
    reads = label_studio.reads
    for _ in range(50):  # annotations stay as they are
        services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 9)
        now[0] += 4
        keeping.tick()
    now[0] += 100
    keeping.tick()
    assert trainings(services) == []
    assert label_studio.reads - reads <= 2


def test_new_tasks_are_predicted_where_the_whole_project_was(services, keeping, now):
    add_version(services, KEY)
    services.backend.events.note("TASKS_CREATED", PROJECT)
    now[0] += 10
    keeping.tick()
    assert services.queue.jobs == {}
    services.projects.note_served(KEY, "v1")
    for _ in range(5):
        services.backend.events.note("TASKS_CREATED", PROJECT)
    now[0] += 100
    keeping.tick()
    [job] = services.queue.jobs.values()
    assert job.kind == "predict"


def test_jobs_that_label_studio_could_not_take_go_on(services, keeping, now):
    job_id = services.queue.enqueue("predict", KEY, "jobs/x/request.json")
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status="failed")
    services.documents.write(
        f"kept/{KEY}/{job_id}.json", {"predictions": [], "kept_at": now[0], "failures": 1}
    )
    keeping.tick()
    assert services.queue.record(job_id).status == "failed"  # a moment ago Label Studio did not answer
    now[0] += 60
    keeping.tick()
    assert services.queue.record(job_id).status == "queued"


def test_a_project_that_automatic_training_finds_gone_is_retired(services, keeping, now, label_studio):
    auto_train(services)
    services.backend.events.note("ANNOTATIONS_CREATED", PROJECT, 3)
    label_studio.is_gone = True
    now[0] += 100
    keeping.tick()
    assert services.projects.is_deleted(KEY)
    assert trainings(services) == []


def test_a_new_version_is_loaded_before_somebody_waits_for_it(services, keeping):
    add_version(services, KEY, "v1")
    services.versions.predictor(KEY)
    add_version(services, KEY, "v2")
    keeping.tick()
    assert (KEY, "v2") in services.versions.loaded()


def test_what_jobs_left_behind_is_swept_out(services, keeping, now):
    old, new = "jobs/19700101-000000-aaaa/request.json", "jobs/29700101-000000-bbbb/request.json"
    for path in (old, new, "jobs/train-gone/log.json"):
        services.documents.write(path, {})
    for name in ("train-gone", "train-1"):
        folder = services.settings.data_dir / "work" / name
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    job = services.queue.enqueue("train", KEY, new)
    services.queue.jobs[job] = replace(services.queue.jobs[job], status="started")
    now[0] = 5_000_000.0
    keeping.tick()
    assert old not in services.documents.content
    assert new in services.documents.content
    assert "jobs/train-gone/log.json" not in services.documents.content
    assert [folder.name for folder in (services.settings.data_dir / "work").iterdir()] == ["train-1"]


def test_copies_of_checkpoints_go_with_their_jobs(services, now):
    class Copies:
        def __init__(self):
            self.kept = {"train-gone", "train-1", "train-2"}

        def job_ids(self):
            return sorted(self.kept)

        def drop(self, job_id):
            self.kept.discard(job_id)

    for status in ("started", "failed"):
        job = services.queue.enqueue("train", KEY, "jobs/x/request.json")
        services.queue.jobs[job] = replace(services.queue.jobs[job], status=status)
    copies = Copies()
    replace(services, checkpoints=copies).housekeeping(clock=lambda: now[0]).tick()
    assert copies.kept == {"train-1"}


def test_the_versions_of_a_deleted_project_go_after_a_grace_time(services, keeping, now):
    add_version(services, KEY, "v1")
    services.projects.restore(KEY)
    services.projects.mark_deleted(KEY)
    now[0] += 29 * 86_400
    keeping.tick()
    assert services.store.list(KEY)
    now[0] += 2 * 86_400
    keeping.tick()
    assert services.store.list(KEY) == []
    assert KEY not in services.projects.known()


def test_a_chore_that_fails_does_not_end_the_others(services, keeping, now, caplog):
    class BrokenError(Exception):
        pass

    def broken():
        raise BrokenError

    keeping._take_hints = broken
    add_version(services, KEY, "v1")
    services.versions.predictor(KEY)
    add_version(services, KEY, "v2")
    keeping.tick()
    assert (KEY, "v2") in services.versions.loaded()


def test_it_ends_when_it_is_told_to():
    done, before = [], set(threading.enumerate())
    housekeeping = Housekeeping([lambda: done.append("first")], [])
    housekeeping.start()
    (thread,) = set(threading.enumerate()) - before
    housekeeping.stop()
    thread.join(5)
    assert done == ["first"]
    assert not thread.is_alive()
