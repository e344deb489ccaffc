from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.versions.card import VersionCard
from backend.service.checks.coverage import coverage_checks

CONFIG = """
<View>
  <Image name="photo" value="$photo"/><Text name="note" value="$note"/>
  <RectangleLabels name="box" toName="photo" model_score_threshold="0.6">
    <Label value="Cat"/><Label value="Dog"/>
  </RectangleLabels>
  <BrushLabels name="paint" toName="photo"><Label value="Fur"/></BrushLabels>
  <PolygonLabels name="hidden" toName="photo" model_skip="true"><Label value="Secret"/></PolygonLabels>
  <KeyPointLabels name="nose" toName="photo"><Label value="Nose"/></KeyPointLabels>
  <Ellipse name="bare" toName="photo"/>
  <Choices name="quality" toName="photo"><Choice value="good"/></Choices>
  <TextArea name="remark" toName="note"/>
</View>
"""


def items_of(card, config=CONFIG):
    controls, labels = coverage_checks(parse_label_config(config), card)
    return controls, labels, {item.name: item for item in (*controls.items, *labels.items)}


def card(**changes):
    content = {
        "labels": ["Cat", "Fur", "Bird"],
        "counts": {"regions_by_label": {"Cat": 12, "Fur": 1}},
        "params": {"enable_segmentation": True},
    }
    return VersionCard.from_json({**content, **changes})


@pytest.mark.parametrize(
    ("name", "state", "why"),
    [
        ("box (rectangle)", "ok", "from a score of 0.6 up"),
        ("paint (brush)", "ok", "painted areas"),
        ("hidden (polygon)", "skipped", "model_skip"),
        ("nose (keypoint)", "skipped", "smart tools"),
        ("bare (ellipse)", "skipped", "no labels"),
        ("quality (Choices)", "skipped", "left to people"),
        ("remark (TextArea)", "skipped", "note, which is no <Image>"),
        ("Cat", "ok", "12 objects"),
        ("Fur", "ok", "1 object"),
        ("Dog", "warning", "not learned yet"),
        ("Secret", "skipped", "model_skip"),
        ("Nose", "skipped", "key points"),
        ("Bird", "skipped", "no longer in the config"),
    ],
)
def test_every_tag_and_label_says_whether_and_why(name, state, why):
    _, _, items = items_of(card())
    assert items[name].state == state
    assert why in items[name].why


def test_the_lines_sum_up():
    controls, labels, _ = items_of(card())
    assert (controls.state, controls.found) == ("ok", "2 of 7 control tags are predicted.")
    assert (labels.state, labels.found) == ("warning", "2 of 5 labels of the config are predicted.")
    assert "train again" in labels.fix


def test_without_segmentation_head_there_are_no_painted_areas():
    _, _, items = items_of(card(params={"enable_segmentation": False}))
    assert items["paint (brush)"].state == "warning"
    assert "segmentation head" in items["paint (brush)"].why
    assert items["box (rectangle)"].state == "ok"


def test_a_label_nobody_has_drawn_is_a_warning():
    _, labels, items = items_of(card(labels=["Cat", "Dog", "Fur"], counts={"regions_by_label": {"Dog": 0}}))
    assert items["Dog"].state == "warning" and "no object" in items["Dog"].why
    assert items["Cat"].why == "learned"
    assert labels.state == "warning"


def test_before_any_training_nothing_is_wrong():
    controls, labels, items = items_of(None)
    assert (controls.state, labels.state) == ("ok", "skipped")
    assert items["Cat"].why == "to be learned"
    assert "model_skip" in items["Secret"].why


def test_a_config_that_nothing_is_predicted_for_is_broken():
    config = """<View><Image name="i" value="$i"/>
      <BrushLabels name="b" toName="i" model_skip="true"><Label value="A"/></BrushLabels></View>"""
    controls, _, _ = items_of(None, config)
    assert controls.state == "failed" and controls.fix
