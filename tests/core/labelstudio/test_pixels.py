from __future__ import annotations

import pytest

from backend.core.geometry.instances import ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config

CONFIG = parse_label_config(
    '<View><Image name="image" value="$image"/>'
    '<Labels name="label" toName="image"><Label value="Car"/></Labels>'
    '<Rectangle name="box" toName="image"/><Polygon name="outline" toName="image"/>'
    '<Brush name="brush" toName="image"/></View>'
)
SIZE = ImageSize(width=640, height=480)


def region(kind, from_name, value):
    result = {"id": str(value), "to_name": "image", "original_width": 640, "original_height": 480}
    return {**result, "type": kind, "from_name": from_name, "value": {**value, "labels": ["Car"]}}


def box(x, y, width, height):
    return region("rectangle", "box", {"x": x, "y": y, "width": width, "height": height})


def outline(*points):
    return region("polygon", "outline", {"points": [list(point) for point in points]})


def learned(*results):
    task = {"data": {"image": "a.png"}, "annotations": [{"id": 1, "result": list(results)}]}
    target = build_target(annotated_task(task, CONFIG).pages[0].regions, CONFIG.labels, SIZE)
    return len(target.target), dict(target.unusable)


SURELY = box(300, 200, 100, 90)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([SURELY], (0, {"pixels": 1}), id="far outside as percent, inside as pixels"),
        pytest.param(
            [box(40, 30, 500, 400)], (0, {"pixels": 1}), id="begins inside: would be cut and learned"
        ),
        pytest.param([outline((300, 10), (400, 10), (350, 90))], (0, {"pixels": 1}), id="an outline"),
        pytest.param([SURELY, box(20, 20, 30, 30)], (0, {"pixels": 2}), id="a small one beside it"),
        pytest.param([box(20, 20, 30, 30)], (1, {}), id="percent"),
        pytest.param([box(80, 80, 40, 40)], (1, {}), id="a little outside"),
        pytest.param([box(0, 0, 100, 100)], (1, {}), id="the whole image"),
        pytest.param([box(900, 900, 50, 50)], (0, {"outside_image": 1}), id="outside both ways"),
        pytest.param(
            [box(900, 900, 50, 50), box(20, 20, 30, 30)], (1, {"outside_image": 1}), id="beside percent"
        ),
    ],
)
def test_pixels_in_place_of_percent_are_recognised_and_not_learned(results, expected):
    assert learned(*results) == expected
