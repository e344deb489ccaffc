import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.labelstudio.annotations import annotated_task
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.predictions import NO_LABEL, detections_to_results
from backend.core.labelstudio.task_pages import TaskPage
from backend.core.labelstudio.text_tags import MOST_CHARACTERS

TEMPLATE = """<View>
  <Image name="image" value="$ocr"/>
  <Labels name="label" toName="image"><Label value="Text"/><Label value="Handwriting"/></Labels>
  <Rectangle name="bbox" toName="image" strokeWidth="3"/>
  <Polygon name="poly" toName="image" strokeWidth="3"/>
  <TextArea name="transcription" toName="image" editable="true" perRegion="true" required="true"
            maxSubmissions="1" rows="5" placeholder="Recognized Text" displayMode="region-list"/>
</View>"""
PAGE = TaskPage("image", "a.png", None)
SIZE = ImageSize(200, 100)


def found(label_index=0):
    patch = MaskPatch(20, 10, np.ones((20, 100), bool))
    box = np.array([[20, 10, 120, 30]], np.float32)
    return Detections(SIZE, box, np.array([0.8], np.float32), np.array([label_index]), (patch,))


def results(xml=TEMPLATE, labels=("Text", "Handwriting"), texts=("TOTAL",)):
    config = parse_label_config(xml)
    thresholds = {control.written_name: 0.3 for control in config.controls}
    return detections_to_results(found(), labels, config, PAGE, thresholds, np.random.default_rng(0), texts)


def test_shape_label_and_text_are_one_region():
    of_boxes = [result for result in results() if "points" not in result["value"]]
    assert [(result["type"], result["from_name"]) for result in of_boxes] == [
        ("rectangle", "bbox"),
        ("labels", "label"),
        ("textarea", "transcription"),
    ]
    assert len({result["id"] for result in of_boxes}) == 1
    place = {"x": 10.0, "y": 10.0, "width": 50.0, "height": 20.0, "rotation": 0.0}
    assert of_boxes[2]["value"] == {**place, "text": ["TOTAL"]}
    assert of_boxes[2]["original_width"] == 200


def test_each_shape_of_an_object_has_its_own_text():
    texts = [result for result in results() if result["type"] == "textarea"]
    assert len(texts) == len({result["id"] for result in texts}) == 2


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (('perRegion="true"', ""), ("TOTAL",)),
        (('perRegion="true"', 'perRegion="true" model_skip="true"'), ("TOTAL",)),
        (("", ""), (None,)),
        (("", ""), ()),
    ],
)
def test_there_is_no_text_where_none_is_wanted_or_read(change, texts):
    written = results(TEMPLATE.replace(*change) if change[0] else TEMPLATE, texts=texts)
    assert {result["type"] for result in written} == {"rectangle", "polygon", "labels"}


def test_a_long_text_is_cut():
    [text] = {r["value"]["text"][0] for r in results(texts=("x" * 50_000,)) if r["type"] == "textarea"}
    assert len(text) == MOST_CHARACTERS


def test_the_strokes_of_a_brush_are_not_sent_twice():
    xml = """<View><Image name="image" value="$image"/><TextArea name="t" toName="image" perRegion="true"/>
      <BrushLabels name="brush" toName="image"><Label value="Text"/></BrushLabels></View>"""
    shape, text = results(xml)
    assert "rle" in shape["value"]
    assert text["value"] == {"format": "rle", "text": ["TOTAL"]}
    assert text["id"] == shape["id"]


def test_an_object_of_unknown_label_is_a_region_without_label():
    written = results(labels=(NO_LABEL, "Text"))
    assert [result["type"] for result in written if "points" not in result["value"]] == [
        "rectangle",
        "textarea",
    ]


def test_a_text_of_a_hundred_thousand_characters_costs_no_region():
    place = {"x": 10, "y": 10, "width": 30, "height": 5, "rotation": 0}
    common = {"id": "a", "to_name": "image", "original_width": 200, "original_height": 100}
    said = [
        {**common, "type": "rectangle", "from_name": "bbox", "value": place},
        {**common, "type": "labels", "from_name": "label", "value": {**place, "labels": ["Text"]}},
        {
            **common,
            "type": "textarea",
            "from_name": "transcription",
            "value": {**place, "text": ["é" * 100_000]},
        },
        {
            "id": "b",
            "type": "textarea",
            "from_name": "transcription",
            "to_name": "image",
            "value": {"text": 7},
        },
    ]
    task = {"id": 1, "data": {"ocr": "a.png"}, "annotations": [{"id": 1, "result": said}]}
    taught = annotated_task(task, parse_label_config(TEMPLATE))
    assert [labelled.labels for labelled in taught.pages[0].regions] == [("Text",)]
    assert not taught.unusable


def test_a_repeater_has_a_text_tag_for_each_image():
    xml = """<View><Repeater on="$pages" indexFlag="{{idx}}">
      <Image name="page_{{idx}}" value="$pages[{{idx}}].url"/>
      <RectangleLabels name="box_{{idx}}" toName="page_{{idx}}"><Label value="Text"/></RectangleLabels>
      <TextArea name="said_{{idx}}" toName="page_{{idx}}" perRegion="true"/></Repeater></View>"""
    config = parse_label_config(xml)
    assert [tag.name for tag in config.texts_for_image("page_3")] == ["said_3"]
    assert config.texts_for_image("other") == ()
