import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize
from backend.core.labelstudio.annotations import annotated_task
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import detections_to_results
from backend.core.labelstudio.repeater import Repeater
from backend.core.labelstudio.task_pages import task_pages

PAGES = """
<View>
  <Repeater on="$pages" indexFlag="{{idx}}">
    <Image name="page_{{idx}}" value="$pages[{{idx}}].url"/>
    <RectangleLabels name="labels_{{idx}}" toName="page_{{idx}}"><Label value="Cat"/></RectangleLabels>
    <Labels name="kind_{{idx}}" toName="page_{{idx}}"><Label value="Dog"/></Labels>
    <Ellipse name="round_{{idx}}" toName="page_{{idx}}" model_score_threshold="0.4"/>
  </Repeater>
</View>
"""
TASK = {"data": {"pages": [{"url": f"{number}.png"} for number in range(12)]}}


@pytest.mark.parametrize(
    ("text", "filled", "index"),
    [
        ("page_{{idx}}", "page_0", 0),
        ("page_{{idx}}", "page_12", 12),
        ("{{idx}}", "3", 3),
        ("a{{idx}}b", "a7b", 7),
        ("{{idx}}-{{idx}}", "2-{{idx}}", 2),  # the editor fills the first one alone
    ],
)
def test_filled_there_and_back(text, filled, index):
    repeater = Repeater("pages", "{{idx}}")
    assert repeater.filled(text, index) == filled
    assert repeater.index_in(text, filled) == index


@pytest.mark.parametrize(
    "filled", ["page_", "page_x", "page_01", "page_-1", "page_²", "side_1", "page_1_", ""]
)
def test_what_stands_for_no_item(filled):
    assert Repeater("pages", "{{idx}}").index_in("page_{{idx}}", filled) is None


def test_attributes_are_read_as_the_editor_does():
    assert Repeater.of({"on": "$pages"}) == Repeater("pages", "{{idx}}")
    assert Repeater.of({"on": "pages", "indexflag": "%n"}) == Repeater("pages", "%n")


def test_tags_are_found_under_the_names_of_each_item():
    config = parse_label_config(PAGES)
    assert config.labels == ("Cat", "Dog") and config.others == ()
    control = config.control("labels_11")
    assert (control.name, control.to_name, control.written_name) == ("labels_11", "page_11", "labels_{{idx}}")
    assert config.control("labels_x") is None and config.control("labels_{{idx}}") is config.controls[0]
    assert [tag.name for tag in config.controls_for_image("page_3")] == ["labels_3", "round_3"]
    assert config.controls_for_image("page_3")[1].groups[0].tag == "kind_3"
    assert config.image("page_3").value_key == "pages[3].url" and config.image("side_3") is None


def test_regions_are_learned_on_their_page():
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": ["Cat"]}
    region = {
        "id": "r",
        "from_name": "labels_11",
        "to_name": "page_11",
        "type": "rectanglelabels",
        "value": value,
    }
    strange = {**region, "id": "s", "to_name": "page_10"}
    gone = {**region, "id": "g", "from_name": "labels_40", "to_name": "page_40"}
    task = {**TASK, "annotations": [{"id": 1, "result": [region, strange, gone]}]}
    read = annotated_task(task, parse_label_config(PAGES))
    assert [len(page.regions) for page in read.pages] == [0] * 11 + [1]
    assert read.unusable == {"unknown_control": 1, "unknown_page": 1}


def test_predictions_bear_the_names_of_their_page():
    config = parse_label_config(PAGES)
    found = Detections(
        size=ImageSize(100, 100),
        boxes_xyxy_px=np.array([[10, 10, 30, 30], [50, 50, 80, 90]], np.float32),
        scores=np.array([0.9, 0.5], np.float32),
        label_indices=np.array([0, 1]),
        masks=(None, None),
    )
    page = task_pages(TASK, config)[11]
    thresholds = {"labels_{{idx}}": 0.3, "round_{{idx}}": 0.4}
    results = detections_to_results(found, config.labels, config, page, thresholds, np.random.default_rng(0))
    assert [(one["from_name"], one["to_name"], one.get("item_index")) for one in results] == [
        ("labels_11", "page_11", None),
        ("round_11", "page_11", None),
        ("kind_11", "page_11", None),
    ]


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(
            '<Image name="page" value="$pages[{{idx}}]"/>'
            '<RectangleLabels name="l_{{idx}}" toName="page"><Label value="A"/></RectangleLabels>',
            id="one name for all pages",
        ),
        pytest.param(
            '<Repeater on="$more" indexFlag="{{k}}"><Image name="p_{{k}}" value="$more[{{k}}]"/>'
            '<RectangleLabels name="l_{{k}}" toName="p_{{k}}"><Label value="A"/></RectangleLabels>'
            "</Repeater>",
            id="a repeater in a repeater",
        ),
    ],
)
def test_what_no_page_can_be_told_of_is_left_alone(inner):
    whole = (
        '<View><Image name="i" value="$image"/><RectangleLabels name="r" toName="i"><Label value="B"/>'
        f'</RectangleLabels><Repeater on="$pages">{inner}</Repeater></View>'
    )
    config = parse_label_config(whole)
    assert config.labels == ("B",) and [tag.tag for tag in config.others] == ["RectangleLabels"]


@pytest.mark.parametrize(
    "inner",
    [
        '<Choices name="x" toName="page_{{idx}}"><Choice value="a"/></Choices>',
        '<TextArea name="x" toName="page_{{idx}}" perRegion="true"/>',
        '<RectangleLabels name="x" toName="page_{{idx}}"><Label value="A"/></RectangleLabels>',
    ],
    ids=["choices", "text of regions", "boxes"],
)
def test_a_tag_with_one_name_for_all_pages_is_told_to_have_one_for_each(inner):
    config = parse_label_config(
        '<View><Image name="i" value="$image"/><RectangleLabels name="r" toName="i"><Label value="B"/>'
        '</RectangleLabels><Repeater on="$pages"><Image name="page_{{idx}}" value="$pages[{{idx}}]"/>'
        f"{inner}</Repeater></View>"
    )
    [alone] = config.left_alone
    assert alone.why.startswith("it has no name of its own for each image")
