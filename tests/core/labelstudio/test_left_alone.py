from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.left_alone import in_words
from backend.errors import LabelConfigError

BOXES = '<RectangleLabels name="box" toName="image"><Label value="Car"/></RectangleLabels>'


def config(*tags):
    return parse_label_config(f'<View><Image name="image" value="$image"/>{"".join(tags)}</View>')


@pytest.mark.parametrize(
    ("tag", "name", "draws", "why"),
    [
        (
            '<KeyPointLabels name="x" toName="image" smart="true"><Label value="Car"/></KeyPointLabels>',
            "KeyPointLabels",
            True,
            "are prompts of smart tools, so they are not predicted",
        ),
        (
            '<OcrLabels name="x" toName="image"><Label value="Car"/></OcrLabels>',
            "OcrLabels",
            True,
            "regions of <OcrLabels> are not learned: draw with Brush, Bitmask, Polygon, Vector, Ellipse, Rec",
        ),
        (
            '<VectorLabels name="x" toName="image"><Label value="Car"/></VectorLabels>',
            "VectorLabels",
            True,
            'without closable="true" annotators can draw only open lines',
        ),
        (
            '<PolygonLabels name="x" toName="image,other"><Label value="Car"/></PolygonLabels>',
            "PolygonLabels",
            True,
            "its toName names several tags (image, other): give each image a control tag of its own",
        ),
        (
            '<BrushLabels name="x" toName="image" model_skip="true"><Label value="Car"/></BrushLabels>',
            "BrushLabels",
            True,
            "model_skip is set",
        ),
        ('<Ellipse name="x" toName="image"/>', "Ellipse", True, "it has no labels: give it some"),
        (
            '<Choices name="x" toName="image" perRegion="true"><Choice value=""/></Choices>',
            "Choices",
            False,
            "it has no <Choice>",
        ),
        ('<TextArea name="x" toName="image"/>', "TextArea", False, "left to people"),
        ('<TextArea name="x" toName="image,other"/>', "TextArea", False, "left to people"),
        (
            '<TextArea name="x" toName="image,other" perRegion="true"/>',
            "TextArea",
            False,
            "its toName names several tags (image, other): give each image a control tag of its own",
        ),
        ('<TextArea name="x" toName="note"/>', "TextArea", False, "it belongs to note, which is no <Image>"),
        (
            '<Choices name="x" toName="image,note"><Choice value="a"/></Choices>',
            "Choices",
            False,
            "its toName names several tags (image, note): give each image a control tag of its own",
        ),
        (
            '<Labels name="x" toName="image"><Label value="Car"/></Labels>',
            "Labels",
            False,
            "no plain tag beside it (Brush, Bitmask, Polygon, Vector, Ellipse, Rectangle, KeyPoint) takes",
        ),
    ],
    ids=[
        "key points",
        "text of a PDF",
        "open lines only",
        "two images",
        "model_skip",
        "no labels",
        "choices of regions",
        "text of the image",
        "text of two images",
        "text of regions in two images",
        "text",
        "choices of an image and a text",
        "labels alone",
    ],
)
def test_a_tag_that_is_not_learned_says_why(tag, name, draws, why):
    [left_alone] = config(BOXES, tag).left_alone
    assert (left_alone.name, left_alone.tag, left_alone.draws) == ("x", name, draws)
    assert why in left_alone.why


def test_a_tag_that_is_learned_is_not_left_alone():
    assert config(BOXES).left_alone == ()
    assert config(BOXES).why_nothing_is_learned is None


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        (
            '<EllipseLabels name="x" toName="image" model_skip="true"><Label value="Car"/></EllipseLabels>',
            "x (EllipseLabels): model_skip is set",
        ),
        (
            '<BrushLabels name="x" toName="image" model_skip="true"><Label value="Car"/></BrushLabels>',
            "x (BrushLabels): model_skip is set",
        ),
    ],
    ids=["ellipses", "areas"],
)
def test_a_config_that_teaches_nothing_says_why_and_what_to_add(tag, why):
    said = config(tag).why_nothing_is_learned
    assert said is not None and said.startswith("nothing can be learned from this labeling config: ")
    wanted = (
        "BrushLabels, BitmaskLabels, PolygonLabels, VectorLabels, EllipseLabels, RectangleLabels or "
        "KeyPointLabels"
    )
    assert why in said and f"Add {wanted} with <Label> tags" in said


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        (
            '<OcrLabels name="x" toName="image"><Label value="Car"/></OcrLabels>',
            "x (OcrLabels): regions of <OcrLabels> are not learned",
        ),
        (
            '<PolygonLabels name="x" toName="image,image2"><Label value="Car"/></PolygonLabels>',
            "x (PolygonLabels): its toName names several tags",
        ),
    ],
    ids=["text of a PDF", "two images"],
)
def test_a_config_without_any_label_names_the_tags_that_do_not_count(tag, why):
    with pytest.raises(LabelConfigError, match="has no labels for its image") as caught:
        config(tag)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("xml", "tags"),
    [
        (
            '<Image name="image" value="$i"/><TextArea name="caption" toName="image"/>',
            ["caption (TextArea)"],
        ),
        (
            '<Image name="image" value="$i"/><Text name="q1" value="$q1"/><TextArea name="a1" toName="q1"/>'
            '<Labels name="aspect" toName="q1"><Label value="counting"/></Labels>',
            ["a1 (TextArea): it belongs to q1, which is no <Image>", "aspect (Labels): it belongs to q1"],
        ),
        (
            '<Pdf name="pdf" value="$p"/><OcrLabels name="ocr" toName="pdf"><Label value="A"/></OcrLabels>',
            ["no <Image> with a name", "ocr (OcrLabels): it belongs to pdf, which is no <Image>"],
        ),
    ],
    ids=["captions", "questions", "a PDF"],
)
def test_a_refused_config_names_each_of_its_tags_and_what_to_add(xml, tags):
    with pytest.raises(LabelConfigError, match=r"RectangleLabels .*with <Label> tags") as caught:
        parse_label_config(f"<View>{xml}</View>")
    assert all(said in str(caught.value) for said in tags)


def test_the_log_may_name_every_tag_and_a_job_those_that_draw():
    tags = config(
        BOXES,
        '<Ellipse name="x" toName="image"/>',
        '<TextArea name="age" toName="image"/>',
    ).left_alone
    assert "age (TextArea)" in in_words(tags, only_drawing=False) and "x (Ellipse)" in in_words(tags)
    assert "age" not in in_words(tags)
