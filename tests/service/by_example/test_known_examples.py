from __future__ import annotations

import pytest

from backend.errors import LabelStudioError
from backend.service.by_example.examples import MOST_PICTURES
from backend.service.by_example.known_examples import (
    LOOK_EVERY_S,
    READ_AGAIN_AFTER_S,
    KnownExamples,
)
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.services import connections_to
from tests.fakes.tasks import annotated, rectangle

KEY = "7.1763750000"


class Counting(FakeLabelStudio):
    """Has the counters of a project, and counts what it is asked."""

    def __init__(self, tasks=()):
        super().__init__(tasks)
        self.looks = self.exports = 0

    def project(self, project_id):
        self.looks += 1
        number = sum(len(task.get("annotations", ())) for task in self.known_tasks)
        counters = {"total_annotations_number": number, "num_tasks_with_annotations": number}
        return {**super().project(project_id), **counters}

    def export_annotated(self, project_id):
        self.exports += 1
        return super().export_annotated(project_id)


@pytest.fixture
def now():
    return [0.0]


def known_of(label_studio, now):
    return KnownExamples(connections_to(label_studio), lambda work: work(), clock=lambda: now[0])


def test_a_project_without_labels_has_none_and_its_export_is_never_asked_for(now):
    label_studio = Counting([{"id": 1, "data": {"image": "1.png"}}])
    assert known_of(label_studio, now).of(KEY, 1.0) is None
    assert (label_studio.looks, label_studio.exports) == (1, 0)


def test_many_callers_cost_one_look_in_seconds_and_one_export_for_as_long_as_nothing_changes(now):
    label_studio = Counting([annotated(1, rectangle())])
    known = known_of(label_studio, now)
    for _ in range(50):
        assert known.of(KEY, 1.0).object_count == 1
    assert (label_studio.looks, label_studio.exports) == (1, 1)
    now[0] += LOOK_EVERY_S + 1
    known.of(KEY, 1.0)
    assert (label_studio.looks, label_studio.exports) == (2, 1)
    now[0] += READ_AGAIN_AFTER_S
    known.of(KEY, 1.0)
    assert label_studio.exports == 2


def test_another_label_changes_the_version_and_the_same_labels_keep_it(now):
    label_studio = Counting([annotated(1, rectangle(), rectangle(x=50))])
    known = known_of(label_studio, now)
    first = known.of(KEY, 1.0)
    assert first.version.startswith("by-example-")
    label_studio.known_tasks.append(annotated(2, rectangle("Dog")))
    now[0] += LOOK_EVERY_S + 1
    second = known.of(KEY, 1.0)
    assert second.version != first.version
    assert (second.object_count, len(second.pages)) == (3, 2)
    assert known_of(label_studio, now).of(KEY, 1.0).version == second.version


def test_a_region_that_was_moved_is_seen_at_the_next_look_after_an_event(now):
    label_studio = Counting([annotated(1, rectangle())])
    known = known_of(label_studio, now)
    before = known.of(KEY, 1.0).version
    label_studio.known_tasks[0] = annotated(1, rectangle(x=30))
    now[0] += LOOK_EVERY_S + 1
    assert known.of(KEY, 1.0).version == before
    known.hint(KEY)
    now[0] += LOOK_EVERY_S + 1
    assert known.of(KEY, 1.0).version != before


def test_while_label_studio_is_away_the_last_examples_stand(now):
    label_studio = Counting([annotated(1, rectangle())])
    known = known_of(label_studio, now)
    before = known.of(KEY, 1.0)
    label_studio.failures.append(LabelStudioError("it is away"))
    now[0] += LOOK_EVERY_S + 1
    assert known.of(KEY, 1.0) == before


def test_of_many_labelled_pictures_a_few_are_taken_and_every_label_is_among_them(now):
    tasks = [annotated(k, rectangle(), rectangle(x=50)) for k in range(2, 30)]
    label_studio = Counting([annotated(1, rectangle("Dog")), *tasks])
    examples = known_of(label_studio, now).of(KEY, 1.0)
    assert len(examples.pages) == MOST_PICTURES
    labels = {label for one in examples.pages for region in one.page.regions for label in region.labels}
    assert labels == {"Cat", "Dog"}
