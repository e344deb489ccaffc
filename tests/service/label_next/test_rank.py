from __future__ import annotations

from backend.errors import ImageNotFound
from tests.fakes.lease import FakeLease
from tests.panel_fakes import KEY
from tests.ranked import TWIN, TWIN_OF, sort_of


def test_before_any_training_what_is_unlike_the_labelled_pictures_comes_first(project):
    assert project.rank().status == "finished"
    listed = project.listed()
    assert (listed["version"], listed["labelled"], listed["total"]) == (None, 4, 20)
    assert sort_of(project.order()[0]) == 2
    assert "unlike anything labelled" in project.why(project.order()[0])
    assert project.services.embedder.asked == 24


def test_near_duplicates_are_asked_for_once(project):
    project.rank()
    order = project.order()
    second = max(TWIN, TWIN_OF, key=order.index)
    assert order.index(second) == len(order) - 1
    assert project.why(second) == "nearly equals one that comes earlier"


def test_a_version_says_where_it_is_in_doubt(project):
    project.train()
    project.rank()
    order = project.order()
    assert project.listed()["version"] == "v1"
    assert order.index(7) < len(order) / 2
    assert "3 objects in doubt" in project.why(7)
    assert "perhaps a Dog, of which there are 2" in project.why(9)


def test_pictures_are_looked_at_once_whatever_is_trained_and_again_when_they_are_others(project):
    project.rank()
    project.train()
    project.rank()
    assert project.services.embedder.asked == 24
    project.images.images["other.png"] = project.images.images["5.png"]
    project.label_studio.known_tasks[4]["data"] = {"image": "other.png"}
    project.rank()
    assert project.services.embedder.asked == 25


def test_what_cannot_be_read_is_left_out_and_counted_by_reason(project):
    project.images.images["8.png"] = ImageNotFound("there is no image 8.png")
    project.label_studio.known_tasks[9]["data"] = {"text": "none"}
    outcome = project.rank()
    assert {8, 10} & set(project.order()) == set() and project.listed()["total"] == 18
    assert sorted(outcome.report.warnings) == [
        "1 picture is not ranked: the image was not found",
        "1 picture is not ranked: their task's data has no image where the labeling config looks for it",
    ]
    assert outcome.report.pictures_ranked == 18


def test_a_paused_ranking_is_taken_up_again_and_keeps_the_one_before(project):
    project.rank()
    made_at = project.listed()["made_at"]
    lease = FakeLease()
    lease.pause_requested = True
    assert project.rank(lease=lease).status == "requeue"
    assert project.listed()["made_at"] == made_at


def test_one_that_waits_is_not_doubled(project):
    assert project.desk.requests.request(KEY) == project.desk.requests.request(KEY)


def test_an_empty_project_has_an_empty_order(project):
    project.label_studio.known_tasks.clear()
    assert project.rank().status == "finished"
    assert project.listed()["total"] == 0
