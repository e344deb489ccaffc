from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.versions.card import VersionCard
from backend.service.checks.coverage import coverage_checks
from backend.service.text.reading import TextState

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
  <Choices name="quality" toName="photo" perRegion="true"><Choice value="good"/></Choices>
  <TextArea name="remark" toName="note"/>
</View>
"""


def items_of(card, config=CONFIG, text=TextState()):  # noqa: B008 (frozen)
    controls, labels = coverage_checks(parse_label_config(config), card, text)
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
        ("nose (keypoint)", "warning", "has learned no key points"),
        ("bare (ellipse)", "skipped", "no labels"),
        ("quality (Choices)", "warning", "not learned yet"),
        ("remark (TextArea)", "skipped", "note, which is no <Image>"),
        ("Cat", "ok", "12 objects"),
        ("Fur", "ok", "1 object"),
        ("Dog", "warning", "not learned yet"),
        ("Secret", "skipped", "model_skip"),
        ("Nose", "warning", "not learned yet"),
        ("Bird", "skipped", "no longer in the config"),
    ],
)
def test_every_tag_and_label_says_whether_and_why(name, state, why):
    _, _, items = items_of(card())
    assert items[name].state == state
    assert why in items[name].why


@pytest.mark.parametrize(
    ("tags", "name", "state", "why"),
    [
        (
            '<VectorLabels name="x" toName="i" closable="true"><Label value="Cat"/></VectorLabels>',
            "x (vector)",
            "ok",
            "closed lines are predicted as outlines; open lines are not learned",
        ),
        (
            '<VectorLabels name="x" toName="i"><Label value="Cat"/></VectorLabels>',
            "x (vector)",
            "warning",
            'without closable="true" annotators can draw only open lines',
        ),
        (
            '<BrushLabels name="b" toName="i"><Label value="Cat"/></BrushLabels>'
            '<MagicWand name="x" toName="i"/>',
            "x (brush)",
            "ok",
            "what it draws is learned, and predicted in b",
        ),
    ],
    ids=["closed lines", "open lines", "magic wand"],
)
def test_a_tag_that_is_learned_in_its_own_way_says_how(tags, name, state, why):
    _, _, items = items_of(None, f'<View><Image name="i" value="$i"/>{tags}</View>')
    assert items[name].state == state and why in items[name].why


@pytest.mark.parametrize(
    ("tag", "state", "why"),
    [
        (
            '<OcrLabels name="x" toName="photo"><Label value="Cat"/></OcrLabels>',
            "warning",
            "not learned",
        ),
        (
            '<BrushLabels name="x" toName="photo,note"><Label value="Cat"/></BrushLabels>',
            "warning",
            "several",
        ),
    ],
    ids=["text of a PDF", "two images"],
)
def test_a_tag_that_is_drawn_with_in_vain_is_a_warning(tag, state, why):
    _, _, items = items_of(card(), CONFIG.replace("</View>", f"{tag}</View>"))
    [item] = [item for name, item in items.items() if name.startswith("x (")]
    assert item.state == state and why in item.why


def test_a_tag_that_is_learned_in_part_counts_as_predicted():
    tag = '<BrushLabels name="x" toName="photo" value="$l"><Label value="Cat"/></BrushLabels>'
    controls, _, _ = items_of(card(), CONFIG.replace("</View>", f"{tag}</View>"))
    assert controls.found == "3 of 8 control tags are predicted."


def test_the_lines_sum_up():
    controls, labels, _ = items_of(card())
    assert (controls.state, controls.found) == ("warning", "2 of 7 control tags are predicted.")
    assert (labels.state, labels.found) == ("warning", "2 of 5 labels of the config are predicted.")
    assert "train again" in labels.fix


def test_without_segmentation_head_there_are_no_painted_areas():
    _, _, items = items_of(card(params={"enable_segmentation": False}))
    assert items["paint (brush)"].state == "warning"
    assert "segmentation head" in items["paint (brush)"].why
    assert items["box (rectangle)"].state == "ok"


def test_without_detection_head_there_are_no_rectangles():
    _, _, items = items_of(card(architecture={"heads": ["areas"]}))
    assert items["box (rectangle)"].state == "warning"
    assert "detection head" in items["box (rectangle)"].why
    assert items["paint (brush)"].state == "ok"


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


@pytest.mark.parametrize(
    ("clicks", "drawn", "state", "why"),
    [
        (["Cat"], ["Cat", "Dog"], "skipped", "so they are not predicted"),
        (["object"], ["Cat"], "skipped", "object is answered as Cat"),
        (["object", "Cat"], ["Cat", "Dog"], "warning", "has its labels object: such a click"),
        (["object"], ["Cat", "Dog"], "warning", "Name them as what is drawn: Cat, Dog"),
    ],
)
def test_the_labels_of_clicks_are_compared_with_those_that_are_drawn(clicks, drawn, state, why):
    def inner(labels):
        return "".join(f'<Label value="{label}"/>' for label in labels)

    config = f"""<View><Image name="i" value="$i"/>
      <KeyPointLabels name="k" toName="i" smart="true">{inner(clicks)}</KeyPointLabels>
      <BrushLabels name="b" toName="i">{inner(drawn)}</BrushLabels></View>"""
    controls, _, items = items_of(None, config)
    assert items["k (keypoint)"].state == state and why in items["k (keypoint)"].why
    assert controls.state == ("warning" if state == "warning" else "ok")


def test_answers_about_images_are_predicted_as_they_were_learned():
    config = """<View><Image name="photo" value="$photo"/>
        <Choices name="kind" toName="photo"><Choice value="a"/><Choice value="b"/></Choices></View>"""
    asked = parse_label_config(config).asked
    learned = {"labels": [], "counts": None, "architecture": {"heads": ["choices"], "asked": asked}}
    changed = config.replace('value="b"', 'value="c"')
    checks = [
        list(coverage_checks(parse_label_config(xml), of, TextState()))
        for xml, of in ((config, card(**learned)), (config, None), (changed, card(**learned)))
    ]
    assert [len(of) for of in checks] == [1, 1, 1]  # there are no labels to speak of
    states = [(of[0].state, of[0].items[0].state) for of in checks]
    assert states == [("ok", "ok"), ("ok", "ok"), ("warning", "warning")]
    assert "not learned yet" in checks[2][0].items[0].why


@pytest.mark.parametrize(
    ("text", "attributes", "state", "why"),
    [
        (TextState("rapidocr"), "", "ok", "text is read by rapidocr"),
        (
            TextState(problem="RapidOCR is not there; install it: pip"),
            "",
            "warning",
            "not read: RapidOCR is not",
        ),
        (TextState("rapidocr"), 'model_skip="true"', "skipped", "model_skip"),
    ],
)
def test_the_text_of_regions_says_what_reads_it(text, attributes, state, why):
    tag = f'<TextArea name="said" toName="photo" perRegion="true" {attributes}/>'
    _, _, items = items_of(None, CONFIG.replace("</View>", f"{tag}</View>"), text)
    assert items["said (text of regions)"].state == state
    assert why in items["said (text of regions)"].why


def test_key_points_that_are_no_prompts_are_predicted():
    heads = {"architecture": {"heads": ["boxes", "masks", "landmarks"]}}
    _, _, items = items_of(card(**heads))
    nose = items["nose (keypoint)"]
    assert (nose.state, nose.why) == ("ok", "key points are predicted")


def test_a_tag_about_regions_is_predicted_once_it_was_learned_though_numbers_have_spanned_its_scale():
    config = """<View><Image name="photo" value="$image"/>
      <RectangleLabels name="box" toName="photo"><Label value="Cat"/></RectangleLabels>
      <Number name="age" toName="photo" perRegion="true"/></View>"""
    asked = parse_label_config(config).asked["attributes"]["age"]
    learned = {"attributes": {"age": {**asked, "marks": [1, 2, 3], "step": 1}}}
    _, _, items = items_of(card(architecture={"asked": learned}), config)
    assert items["age (Number)"].state == "ok" and "of each region" in items["age (Number)"].why
    _, _, items = items_of(card(), config)
    assert items["age (Number)"].state == "warning"
