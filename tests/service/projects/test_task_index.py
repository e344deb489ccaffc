from __future__ import annotations

import time
from dataclasses import replace

import pytest

from backend.errors import LabelStudioError, NotFoundError, RequestError
from backend.service.projects.task_index import LocalPrediction, TaskIndex, display_name
from tests.panel_fakes import KEY, FakePanelLabelStudio, all_shapes


class Threads:
    """Threads that run when the test says so."""

    def __init__(self) -> None:
        self.waiting = []

    def start(self, work):
        self.waiting.append(work)

    def run(self):
        while self.waiting:
            self.waiting.pop(0)()


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio(250)


@pytest.fixture
def threads():
    return Threads()


@pytest.fixture
def held():
    return {}


@pytest.fixture
def index(label_studio, threads, held):
    return TaskIndex(lambda key: label_studio, lambda key: "v1", lambda key: held, threads.start)


def push(label_studio, task_id, version, score):
    entry = {"task": task_id, "result": all_shapes(), "score": score, "model_version": version}
    label_studio.import_predictions(7, [entry])


def test_the_first_page_is_there_at_once_and_the_rest_behind_it(index, threads):
    first = index.window(KEY, limit=1000)
    assert (len(first.rows), first.total, first.is_complete) == (100, 250, False)
    threads.run()
    whole = index.window(KEY, offset=240, limit=100)
    assert [row.task_id for row in whole.rows] == list(range(241, 251))
    assert (whole.total, whole.is_complete) == (250, True)
    assert whole.revision > first.revision


def test_a_small_project_needs_no_second_reading(threads):
    label_studio = FakePanelLabelStudio(3)
    index = TaskIndex(lambda key: label_studio, lambda key: None, lambda key: {}, threads.start)
    assert index.window(KEY).is_complete
    assert threads.waiting == []


def test_predictions_are_told_apart_by_version_and_sorted_by_score(index, label_studio, threads, held):
    push(label_studio, 1, "v1", 0.8)
    push(label_studio, 2, "v0", 0.3)
    held[3] = LocalPrediction("v1", 0.5)
    index.window(KEY)
    threads.run()
    rows = index.window(KEY, show="predicted", sort="-score").rows
    assert [(row.task_id, row.predicted_by, row.score) for row in rows] == [
        (1, "current", 0.8),
        (3, "current", 0.5),
        (2, "older", 0.3),
    ]


def test_tasks_without_score_stand_last_in_both_directions(index, label_studio, threads):
    push(label_studio, 9, "v1", 0.8)
    index.window(KEY)
    threads.run()
    for sort in ("score", "-score"):
        assert index.window(KEY, sort=sort).rows[0].task_id == 9


def test_a_page_that_stays_open_sees_the_revision_grow_over_a_restart(label_studio, threads, held):
    def started():
        return TaskIndex(lambda key: label_studio, lambda key: "v1", lambda key: held, threads.start)

    before = started()
    before.window(KEY)
    for number in range(5):
        before.change(KEY, 5, lambda row, number=number: replace(row, annotations=number))
    after = started()
    assert after.revision(KEY) == 0
    time.sleep(0.01)
    assert after.window(KEY).revision > before.revision(KEY)


def test_a_change_of_ours_shows_without_reading(index, threads):
    before = index.window(KEY)
    index.change(KEY, 5, lambda row: replace(row, annotations=2))
    assert index.row(KEY, 5).is_annotated
    assert index.revision(KEY) > before.revision
    assert index.ids(KEY, show="annotated") == [5]


def test_refreshes_in_a_row_wait_for_their_turn(index, label_studio, threads):
    index.window(KEY)
    threads.run()
    label_studio.create_annotation(4, [])
    index.refresh(KEY)
    index.refresh(KEY)
    assert threads.waiting == []  # it has just been read
    assert not index.row(KEY, 4).is_annotated


def test_a_reading_that_fails_keeps_what_was_there(index, label_studio, threads):
    index.window(KEY)
    label_studio.failures.append(LabelStudioError("gone for a minute"))
    threads.run()
    assert len(index.window(KEY, limit=1000).rows) == 100


def test_an_unknown_task_is_not_found(index, threads):
    index.window(KEY)
    threads.run()
    with pytest.raises(NotFoundError, match="task 999"):
        index.row(KEY, 999)


@pytest.mark.parametrize(
    "query", [{"show": "x"}, {"sort": "x"}, {"offset": -1}, {"limit": 0}, {"limit": 1001}], ids=str
)
def test_a_wrong_window_is_refused(index, query):
    with pytest.raises(RequestError):
        index.window(KEY, **query)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/data/upload/7/0a1b2c3d-cat_1.png", "cat_1.png"),
        ("/data/local-files/?d=folder/cat%20one.jpg", "cat one.jpg"),
        ("s3://bucket/deep/cat.jpg", "cat.jpg"),
        ("https://host.example/cat.jpg?size=2", "cat.jpg"),
        ("data:image/png;base64,AAAA", "embedded image"),
        ("https://host.example/", "https://host.example/"),
    ],
)
def test_names_are_those_a_person_would_use(reference, name):
    assert display_name(reference) == name
