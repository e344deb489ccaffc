from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from backend.errors import LabelStudioError, QueueError
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.zero_shot import ZeroShot
from backend.service.panel.label_totals import LabelTotals
from backend.service.panel.live_state import LiveState, TooManyWatchers
from backend.service.projects.projects import Projects
from backend.service.projects.task_index import TaskIndex
from backend.service.versions.models import Models
from tests.fakes.documents import FakeDocuments
from tests.fakes.predictor import FakePredictor
from tests.fakes.version_store import FakeVersionStore
from tests.panel_fakes import KEY, FakePanelLabelStudio, PanelQueue, all_shapes


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio(3)


@pytest.fixture
def queue():
    return PanelQueue()


class ServingStore(FakeVersionStore):
    """Serves what it stores; before that nothing stands in."""

    def described_stand_in(self, project_key):
        return None


@pytest.fixture
def live(tmp_path, label_studio, queue, clock):
    store = ServingStore(tmp_path)

    def at_once(work):
        work()

    return LiveState(
        queue=queue,
        models=Models(store, LoadedVersions(store, FakePredictor), ZeroShot(Projects(FakeDocuments()))),
        index=TaskIndex(lambda key: label_studio, store.current, lambda key: {}),
        totals=LabelTotals(lambda key: label_studio, start_thread=at_once),
        most_watchers=2,
        clock=clock,
    )


def test_a_training_that_runs_is_shown_however_many_jobs_came_after_it(live, queue):
    training = queue.enqueue("train", KEY, "jobs/x")
    queue.start(training)
    for _ in range(30):
        ended = queue.enqueue("predict", KEY, "jobs/y")
        queue.jobs[ended] = replace(queue.record(ended), status="finished")
    state = live.state(KEY)
    assert state["training"]["job_id"] == training and state["training"]["status"] == "started"
    assert state["predicting"]["job_id"] == ended


def test_the_state_says_what_there_is(live, queue, label_studio):
    label_studio.create_annotation(1, all_shapes())
    job = queue.enqueue("train", KEY, "jobs/x")
    state = live.state(KEY)
    assert state["training"]["job_id"] == job and state["training"]["is_active"]
    assert state["statistics"]["total"] == 4
    untrained = {"is_trained": False, "version": None, "card": None, "stand_in": None}
    assert state["model"] == untrained
    assert state["workers"] == {"workers": 1, "busy": 0, "waiting": 1}
    assert state["label_studio"] == {"reachable": True, "problem": None}
    assert "payload_path" not in state["training"]


def test_the_revision_grows_only_with_a_change(live, queue, clock):
    first = live.state(KEY)["revision"]
    clock.now += 5
    assert live.state(KEY)["revision"] == first
    queue.enqueue("train", KEY, "jobs/x")
    clock.now += 5
    assert live.state(KEY)["revision"] == first + 1


def test_label_studio_is_asked_seldom_or_after_a_hint(live, label_studio, clock):
    live.state(KEY)
    asked = []
    label_studio.project = lambda project_id, ask=label_studio.project: asked.append(1) or ask(project_id)
    clock.now += 2
    live.state(KEY)
    assert asked == []
    live.hint(KEY)
    clock.now += 2
    live.state(KEY)
    assert asked == [1]
    clock.now += 20
    live.state(KEY)
    assert asked == [1, 1]


def test_what_is_away_is_said_and_the_rest_stays(live, label_studio, queue, clock):
    queue.failure = QueueError("Redis is away")
    label_studio.failures.append(LabelStudioError("Label Studio is away"))
    state = live.state(KEY)
    assert state["queue_problem"] == "Redis is away" and state["training"] is None
    assert state["label_studio"] == {"reachable": False, "problem": "Label Studio is away"}


def test_nobody_waits_in_a_process_that_leaves(live):
    revision = live.state(KEY)["revision"]
    live._is_leaving = lambda: True
    started = time.monotonic()
    assert live.wait(KEY, revision, 20) is None
    assert time.monotonic() - started < 5


def test_watchers_are_bounded_and_told_of_changes(live, queue):
    revision = live.state(KEY)["revision"]
    heard = []
    with live.watching(KEY), live.watching(KEY):
        with pytest.raises(TooManyWatchers), live.watching(KEY):
            pass
        waiting = threading.Thread(target=lambda: heard.append(live.wait(KEY, revision, 5)))
        waiting.start()
        queue.enqueue("predict", KEY, "jobs/x")
        live._look(KEY, live._watched(KEY))  # what the thread does every second
        waiting.join(6)
    assert heard[0]["revision"] > revision
    assert heard[0]["predicting"]["status"] == "queued"
    assert live.wait(KEY, heard[0]["revision"], 0.01) is None
