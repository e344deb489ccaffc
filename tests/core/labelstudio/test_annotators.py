from __future__ import annotations

import pytest

from backend.core.labelstudio.annotations import annotated_task
from backend.core.labelstudio.annotators import choose_annotation, newest_of_each_annotator
from backend.core.labelstudio.label_config import parse_label_config

CONFIG = parse_label_config(
    '<View><Image name="image" value="$image"/><Choices name="quality" toName="image"><Choice value="good"/>'
    '</Choices><RectangleLabels name="box" toName="image"><Label value="Car"/><Label value="Bus"/>'
    "</RectangleLabels></View>"
)
CHOICE = {
    "id": "c", "type": "choices", "from_name": "quality", "to_name": "image", "value": {"choices": ["good"]},
}  # fmt: skip


def box(label="Car", region_id="r"):
    return {
        "id": region_id,
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "value": {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": [label]},
    }


def by(annotator, day, *results, **changes):
    return {
        "id": day,
        "completed_by": annotator,
        "updated_at": f"2026-02-{day:02d}T10:00:00Z",
        "result": list(results),
        **changes,
    }


def task(*annotations):
    return {"id": 1, "data": {"image": "/a.png"}, "annotations": list(annotations)}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        pytest.param(1_600_000_000, 1_700_000_000, id="seconds since the epoch"),
        pytest.param(1_600_000_000.5, "2026-02-01T10:00:00Z", id="both ways"),
        pytest.param("2026-02-01T10:00:00.1Z", "2026-02-01T10:00:00.1234567Z", id="any digits of a second"),
        pytest.param("yesterday", "2026-02-01T10:00:00Z", id="no moment"),
        pytest.param(1e300, "2026-02-01T10:00:00Z", id="no number of seconds"),
    ],
)
def test_the_newest_is_known_however_its_moment_is_written(older, newer):
    annotations = [by(1, 2, box(), updated_at=older), by(1, 1, box(), updated_at=newer)]
    assert choose_annotation(task(*annotations)) is annotations[1]


@pytest.mark.parametrize(
    ("annotations", "chosen"),
    [
        pytest.param([by(1, 1, box()), by(2, 2)], 0, id="another's empty one takes no drawing away"),
        pytest.param([by(1, 1, box()), by(1, 2)], 1, id="the annotator's own empty one does"),
        pytest.param([by(1, 1, box()), by(1, 2), by(2, 3)], 2, id="all there is is empty: the newest"),
        pytest.param([by(1, 1, box()), by(2, 2, box())], 1, id="both drew: the newest"),
        pytest.param([by(1, 3, box()), by(2, 1, box()), by(2, 2)], 0, id="older ones of others do not count"),
        pytest.param([by(1, 1, box()), by(2, 2, CHOICE)], 0, id="a choice draws nothing"),
        pytest.param([by(1, 1, box()), by(2, 2, was_cancelled=True)], 0, id="skipped"),
        pytest.param([by({"id": 5}, 1, box()), by(5, 2)], 1, id="the annotator as an object"),
        pytest.param([by(None, 1, box()), by(None, 2)], 1, id="nobody named: one annotator"),
        pytest.param([by(1, 1, box()), by(2, 2, "rubbish", None)], 0, id="rubbish draws nothing"),
    ],
)
def test_the_newest_of_each_annotator_counts_and_an_empty_one_gives_way(annotations, chosen):
    assert choose_annotation(task(*annotations)) is annotations[chosen]


def test_each_annotator_has_one_newest_annotation_in_order_of_age():
    annotations = [by(1, 4, box()), by(2, 3), by(2, 1, box()), by(3, 2, box())]
    found = newest_of_each_annotator(task(*annotations))
    assert [annotation["id"] for annotation in found] == [2, 3, 4]


@pytest.mark.parametrize(
    ("annotations", "is_disputed"),
    [
        ([by(1, 1, box())], False),
        ([by(1, 1, box()), by(2, 2, box())], False),
        ([by(1, 1, box()), by(2, 2, box("Bus"))], True),
        ([by(1, 1, box()), by(2, 2, box(), box(region_id="s"))], True),
        ([by(1, 1, box()), by(2, 2)], True),
        ([by(1, 1, box("Bus")), by(1, 2, box())], False),
        ([by(1, 1, box(), CHOICE), by(2, 2, box())], True),
    ],
    ids=[
        "alone",
        "agreed",
        "another label",
        "one more",
        "nothing there",
        "changed his mind",
        "a choice of one alone",
    ],
)
def test_a_task_is_disputed_where_annotators_drew_other_labels(annotations, is_disputed):
    assert annotated_task(task(*annotations), CONFIG).is_disputed == is_disputed
