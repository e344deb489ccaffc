from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from backend.errors import LabelStudioAuthError, LabelStudioError, LabelStudioGone, StoreError
from backend.service.jobs.jobs import RunningJob
from backend.service.predicting.kept import KEPT
from backend.service.predicting.pace import Pace
from backend.service.predicting.pushing import resume_where_label_studio_is_back
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, picture

KEY = "7.1763750000"
COUNT = 320


class Flaky(FakeLabelStudio):
    """Takes predictions unless told not to."""

    refusal: Exception | None = None

    def import_predictions(self, project_id, predictions):
        if self.refusal is not None:
            raise self.refusal
        return super().import_predictions(project_id, predictions)


class KilledError(BaseException):
    """Ends a run anywhere, like SIGKILL: nothing of ours may catch it."""


@pytest.fixture
def now():
    return [1_000_000.0]


@pytest.fixture
def label_studio():
    return Flaky([{"id": k, "data": {"image": f"{k}.png"}} for k in range(1, COUNT + 1)])


@pytest.fixture
def services(tmp_path, label_studio, now):
    services = make_services(
        tmp_path,
        images=FakeImages({f"{k}.png": picture() for k in range(1, COUNT + 1)}),
        label_studio=label_studio,
        settings={"label_studio_url": "http://ls", "label_studio_api_key": "k"},
        predictor=FakePredictor(),
        now=lambda: now[0],
        pace=Pace(push_waits_s=(0.0,)),
    )
    add_version(services, KEY)
    services.projects.remember(KEY, label_config=RECTANGLES)
    return services


def running(services, job_id, lease=None):
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status="started")
    ticks = itertools.count(0.0, 10.0)
    lease = lease or FakeLease()
    return RunningJob(services.queue, services.queue.record(job_id), lease, clock=lambda: next(ticks))


def hand_over(services, *ids):
    tasks = [{"id": k, "data": {"image": f"{k}.png"}} for k in ids]
    return services.backend.background.finish(KEY, "v1", tasks, RECTANGLES, {})


def fail(services, job_id, match=None):
    """Run a job that fails, as the worker does it."""
    with pytest.raises(LabelStudioError, match=match) as failed:
        services.run(running(services, job_id))
    services.queue.jobs[job_id] = replace(
        services.queue.jobs[job_id], status="failed", error=str(failed.value)
    )


def kept(services):
    return services.documents.list(KEPT)


def pushed_ids(label_studio):
    return sorted(item["task"] for item in label_studio.pushed)


@pytest.mark.parametrize(
    "refusal",
    [LabelStudioError("does not answer."), LabelStudioError("500."), LabelStudioAuthError("401.")],
    ids=["away", "500", "401"],
)
def test_what_a_failed_job_computed_is_pushed_when_label_studio_is_back(services, label_studio, now, refusal):
    job_id = hand_over(services, 1, 2)
    label_studio.refusal = refusal
    fail(services, job_id, match="Predictions kept: 2;")
    label_studio.failures = [refusal]
    now[0] += 60
    assert (
        resume_where_label_studio_is_back(services.jobs, services.connections, services.now()) == []
    )  # asked, and still away
    label_studio.refusal = None
    services.images.images.clear()  # nothing needs to be predicted again
    assert resume_where_label_studio_is_back(services.jobs, services.connections, services.now()) == [job_id]
    assert services.queue.record(job_id).status == "queued"
    assert services.run(running(services, job_id)).status == "finished"
    assert pushed_ids(label_studio) == [1, 2]
    assert kept(services) == []
    assert resume_where_label_studio_is_back(services.jobs, services.connections, services.now()) == []


def test_the_rest_of_the_job_is_done_then_too(services, label_studio, now):
    job_id = services.backend.background.predict_project(KEY)
    push = label_studio.import_predictions

    def take_some(project_id, predictions):
        if len(label_studio.pushed) >= 96:
            raise LabelStudioError("does not answer.")
        return push(project_id, predictions)

    label_studio.import_predictions = take_some
    fail(services, job_id)
    assert len(label_studio.pushed) == 96
    label_studio.import_predictions = push
    now[0] += 60
    resume_where_label_studio_is_back(services.jobs, services.connections, services.now())
    services.run(running(services, job_id))
    assert pushed_ids(label_studio) == list(range(1, COUNT + 1))
    assert services.queue.record(job_id).progress == {"done": COUNT, "total": COUNT, "pushed": COUNT}
    assert label_studio.model_version == "v1"


def test_it_is_tried_ever_more_rarely(services, label_studio, now):
    job_id = hand_over(services, 1)
    label_studio.refusal = LabelStudioError("400 for ever.")
    tries = []
    for _ in range(40):
        if services.queue.record(job_id).status != "failed":
            fail(services, job_id)
            tries.append(now[0])
        now[0] += 30
        resume_where_label_studio_is_back(services.jobs, services.connections, services.now())
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert waits[0] <= 60 and waits == sorted(waits) and waits[-1] >= 300


def test_a_worker_that_is_told_to_leave_meanwhile_keeps_too(services, label_studio):
    job_id, lease = hand_over(services, 1), FakeLease()

    def leave(project_id, predictions):
        lease.pause_requested = True
        raise LabelStudioError("does not answer.")

    push, label_studio.import_predictions = label_studio.import_predictions, leave
    assert services.run(running(services, job_id, lease)).status == "requeue"
    label_studio.import_predictions = push
    services.images.images.clear()
    services.run(running(services, job_id))
    assert pushed_ids(label_studio) == [1]


def test_a_stopped_job_keeps_nothing(services, label_studio):
    job_id = hand_over(services, 1)

    def stop(project_id, predictions):
        services.queue.request_stop(job_id, mode="discard")
        raise LabelStudioError("does not answer.")

    label_studio.import_predictions = stop
    assert services.run(running(services, job_id)).status == "stopped"
    assert kept(services) == []


def test_a_project_that_is_gone_or_deleted_keeps_nothing(services, label_studio):
    gone = hand_over(services, 1)
    label_studio.refusal = LabelStudioGone("404.")
    fail(services, gone)
    assert kept(services) == []
    label_studio.refusal = LabelStudioError("does not answer.")
    away = hand_over(services, 2)
    fail(services, away)
    assert kept(services)
    services.backend.retirement.delete(KEY)
    assert kept(services) == []


def test_a_full_disk_loses_what_was_computed_and_says_so(services, label_studio):
    job_id = hand_over(services, 1)
    label_studio.refusal = LabelStudioError("does not answer.")
    services.documents.failure = StoreError("No space left on device")
    fail(services, job_id, match="Predictions kept: 0;")


def test_many_tasks_cost_rows_in_proportion_and_none_is_pushed_twice(services, label_studio):
    job_id = services.backend.background.predict_project(KEY)
    opened, push = [17, 200, 319], label_studio.import_predictions

    def push_while_tasks_are_opened(project_id, predictions):
        if opened:  # somebody opens a task, so /predict answers it before the job comes to it
            item = {"task": opened.pop(), "result": [], "score": 0.0, "model_version": "v1"}
            if item["task"] not in pushed_ids(label_studio):
                push(project_id, [item])
        return push(project_id, predictions)

    label_studio.import_predictions = push_while_tasks_are_opened
    services.run(running(services, job_id))
    assert pushed_ids(label_studio) == list(range(1, COUNT + 1))
    assert label_studio.rows_read <= COUNT


def test_a_worker_killed_between_two_pushes_pushes_none_twice(services, label_studio):
    job_id = services.backend.background.predict_project(KEY)
    push, calls = label_studio.import_predictions, []

    def die_after_the_third(project_id, predictions):
        calls.append(push(project_id, predictions))
        if len(calls) == 3:
            raise KilledError
        return calls[-1]

    label_studio.import_predictions = die_after_the_third
    with pytest.raises(KilledError):
        services.run(running(services, job_id))
    assert label_studio.pushed
    services.run(running(services, job_id))
    assert pushed_ids(label_studio) == list(range(1, COUNT + 1))
    assert label_studio.rows_read <= 2 * COUNT
