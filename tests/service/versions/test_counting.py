"""What is counted of an image when two versions are compared."""

import numpy as np

from backend.core.answers.scales import Scale
from backend.core.geometry.instances import Attributes, Detections, ImageSize, TrainingTarget
from backend.core.labelstudio.label_config import parse_label_config
from backend.service.versions.counting import count, f1_of, rows_by_kind, things_of

CONFIG = parse_label_config(
    """<View><Image name="image" value="$image"/>
    <RectangleLabels name="box" toName="image"><Label value="Fruit"/></RectangleLabels>
    <Rating name="grade" toName="image" perRegion="true" maxRating="3"/></View>"""
)
SCALE = Scale.from_json(CONFIG.asked["attributes"]["grade"])
BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
TARGET = TrainingTarget(
    ImageSize(40, 30),
    BOXES,
    np.zeros(2, np.int64),
    (None, None),
    attributes=(Attributes({"grade": 1.0}, (0.2, 0.2)), Attributes({"grade": 3.0}, (0.2, 0.2))),
)


def f1_by_kind(boxes, *chances):
    number = len(boxes)
    found = Detections(
        TARGET.size,
        boxes,
        np.full(number, 0.9, np.float32),
        np.zeros(number, np.int64),
        (None,) * number,
        attributes=tuple({"grade": SCALE.found(row)} for row in chances),
    )
    counts = count(found, TARGET, CONFIG.labels, CONFIG, 0.3)[None]
    things = things_of(CONFIG.labels, CONFIG)
    assert counts.shape == (1, len(things), 3)
    rows = rows_by_kind(things, counts)
    return {kind: float(f1_of(counts[:, mine].sum(axis=(0, 1)))) for kind, mine in rows.items()}


def test_all_that_is_found_and_said_right():
    assert f1_by_kind(BOXES, (1, 0, 0), (0, 0, 1)) == {"objects": 1.0, "grade": 1.0}


def test_a_rating_one_star_off_counts_half():
    assert f1_by_kind(BOXES, (0, 1, 0), (0, 0, 1)) == {"objects": 1.0, "grade": 0.75}


def test_an_attribute_of_an_object_that_was_not_found_is_missed():
    found = f1_by_kind(BOXES[:1], (1, 0, 0))
    assert 0 < found["grade"] < 1 and found["grade"] == found["objects"]


def test_what_is_too_unsure_is_not_said():
    unsure = (0.25, 0.25, 0.25)
    assert f1_by_kind(BOXES, unsure, unsure)["grade"] == 0
