"""A kind in the tuple is enough: config, annotations, statistics, predictions, prompts and checks know it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.labelstudio.annotations import annotated_task, build_target
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import detections_to_results
from backend.core.labelstudio.prompts import answer_form, parse_prompts, place_prompts
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.regions.kind import Click, Drawn, RegionKind, Teaches
from backend.core.regions.kinds import KINDS
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import read_number
from backend.service.checks.coverage import coverage_checks
from backend.service.panel.label_statistics import count_labels
from backend.service.text.reading import TextState

SIZE = ImageSize(200, 100)


@dataclass(frozen=True)
class SquareShape:
    """A square by its middle and half a side, all in pixels."""

    middle_x: float
    middle_y: float
    half: float

    def bounds_px(self, size):
        sides = (self.middle_x, self.middle_y, self.middle_x, self.middle_y)
        return np.array(sides, dtype=np.float32) + np.array([-1, -1, 1, 1], dtype=np.float32) * self.half

    def draw(self, size):
        if not self.half:
            raise UnusableRegion("zero_area")
        return Drawn(self.bounds_px(size), None)

    def prompt_mark(self, size):
        return Click(self.middle_x, self.middle_y)


def write_square(found):
    left, top, right, bottom = found.box_xyxy_px.tolist()
    return {"middle": [(left + right) / 2, (top + bottom) / 2], "half": max(right - left, bottom - top) / 2}


SQUARE = RegionKind(
    name="square",
    title="Square",
    plural="squares",
    has_fields=lambda value: "half" in value,
    geometry_fields=("middle", "half"),
    read=lambda value, recorded_size: SquareShape(*value["middle"], read_number(value, "half")),
    write=write_square,
    teaches=Teaches.BOX,
    check_text="squares are predicted",
)
CONFIG = parse_label_config(
    """<View><Image name="img" value="$image"/>
    <SquareLabels name="tile" toName="img"><Label value="Cat"/></SquareLabels></View>""",
    kinds=(*KINDS, SQUARE),
)


def square(region_id="s1", half=10, **more):
    value = {"middle": [50, 40], "half": half, "squarelabels": ["Cat"]}
    tag = {"from_name": "tile", "to_name": "img", "type": "squarelabels"}
    return {"id": region_id, "value": value, **tag, **more}


RESULT = [square(), square("s2", "x")]
TASK = {"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": RESULT}]}


def test_its_regions_are_read_and_drawn():
    annotated = annotated_task(TASK, CONFIG)
    target = build_target(annotated.pages[0].regions, CONFIG.labels, SIZE).target
    assert target.boxes_xyxy_px.tolist() == [[40, 30, 60, 50]]
    assert annotated.unusable == {"bad_geometry": 1}


def test_it_may_be_the_second_drawing_of_an_object():
    config = parse_label_config(
        """<View><Image name="img" value="$image"/>
        <SquareLabels name="tile" toName="img"><Label value="Cat"/></SquareLabels>
        <RectangleLabels name="box" toName="img"><Label value="Cat"/></RectangleLabels></View>""",
        kinds=(*KINDS, SQUARE),
    )
    size = {"original_width": SIZE.width, "original_height": SIZE.height}
    value = {"x": 20, "y": 30, "width": 10, "height": 20, "rectanglelabels": ["Cat"]}
    box = {"id": "b", "from_name": "box", "to_name": "img", "type": "rectanglelabels", "value": value, **size}
    task = {**TASK, "annotations": [{"id": 1, "result": [square(**size), box]}]}
    (region,) = annotated_task(task, config).pages[0].regions
    assert region.region.kind.name == "rectangle" and len(region.region.shapes) == 2


def test_its_labels_are_counted():
    assert count_labels([TASK], CONFIG)["shapes"] == 1


def test_its_tag_is_predicted():
    found = Detections(
        SIZE, np.array([[40, 30, 60, 50]], np.float32), np.array([0.9], np.float32), np.array([0]), (None,)
    )
    page = TaskPage("img", None, "a.png")
    (result,) = detections_to_results(found, ["Cat"], CONFIG, page, {"tile": 0.5}, np.random.default_rng(1))
    assert (result["type"], result["from_name"]) == ("squarelabels", "tile")
    assert result["value"] == {"middle": [50, 40], "half": 10, "squarelabels": ["Cat"]}


def test_it_serves_as_a_prompt_and_as_an_answer():
    request = parse_prompts({"result": [square()]}, TASK, CONFIG)
    (prompts,) = place_prompts(request.pages[0], SIZE)
    assert prompts.clicks_xy_px.tolist() == [[50, 40]]
    control, labels = answer_form(request, CONFIG, None)
    assert control.kind is SQUARE and labels == ("Cat",)


def test_the_connection_check_speaks_of_it():
    controls, _ = coverage_checks(CONFIG, None, TextState())
    assert [(item.name, item.state, item.why) for item in controls.items] == [
        ("tile (square)", "ok", "squares are predicted")
    ]
