import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.labelstudio.control_tags import ControlTag, ImageTag, LabelGroup
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.kinds import kind_of_type
from backend.errors import LabelConfigError

CAT_DOG = '<Label value="Cat"/><Label value="Dog" background="#00ff00"/>'


def config(*tags, image='<Image name="img" value="$image"/>'):
    return parse_label_config(f"<View>{image}{''.join(tags)}</View>")


def rectangles(attributes="", labels=CAT_DOG):
    return f'<RectangleLabels name="rect" toName="img" {attributes}>{labels}</RectangleLabels>'


@pytest.mark.parametrize("kind", ["Rectangle", "Ellipse", "Polygon", "Brush", "KeyPoint"])
def test_a_labels_tag_draws_its_own_labels(kind):
    control = config(f'<{kind}Labels name="c" toName="img">{CAT_DOG}</{kind}Labels>').control("c")
    assert control == ControlTag(
        "c", kind_of_type(kind), "img", (LabelGroup("c", ("Cat", "Dog")),), f"{kind.lower()}labels"
    )
    assert control.labels == ("Cat", "Dog") and not control.is_plain


@pytest.mark.parametrize("kind", ["Rectangle", "Ellipse", "Polygon", "Brush", "KeyPoint"])
@pytest.mark.parametrize("labels_first", [True, False])
def test_a_plain_tag_is_paired_with_the_labels_of_its_image(kind, labels_first):
    tags = [f'<{kind} name="c" toName="img"/>', f'<Labels name="lab" toName="img">{CAT_DOG}</Labels>']
    parsed = config(*(reversed(tags) if labels_first else tags))
    group = LabelGroup("lab", ("Cat", "Dog"))
    assert parsed.controls == (ControlTag("c", kind_of_type(kind), "img", (group,), kind.lower()),)
    assert parsed.controls[0].is_plain


def test_labels_of_another_object_are_not_paired():
    parsed = config(
        rectangles(),
        '<Brush name="b" toName="img"/><Text name="txt" value="$text"/>',
        '<Labels name="lab" toName="txt"><Label value="Name" alias="N" background="red"/></Labels>',
    )
    assert parsed.control("b").groups == ()
    assert parsed.labels == ("Cat", "Dog")
    assert parsed.aliases == {} and parsed.colors == {"Dog": "#00ff00"}


def test_a_plain_tag_is_paired_with_every_labels_tag_of_its_image():
    parsed = config(
        '<Rectangle name="r" toName="img"/>',
        '<Labels name="kind" toName="img"><Label value="Car"/></Labels>',
        '<Labels name="tone" toName="img"><Label value="Red"/></Labels>',
    )
    assert [(group.tag, group.labels) for group in parsed.control("r").groups] == [
        ("kind", ("Car",)),
        ("tone", ("Red",)),
    ]
    assert parsed.labels == ("Car", "Red") and parsed.others == ()


@pytest.mark.parametrize(
    ("tags", "shown_in"),
    [
        ((f'<BrushLabels name="b" toName="img">{CAT_DOG}</BrushLabels>',), "b"),
        (('<Brush name="b" toName="img"/>', f'<Labels name="l" toName="img">{CAT_DOG}</Labels>'), "b"),
        ((f'<Labels name="l" toName="img">{CAT_DOG}</Labels>',), None),
    ],
    ids=["a tag with labels", "a plain tag", "none"],
)
def test_what_a_magic_wand_paints_is_predicted_in_the_brush_beside_it(tags, shown_in):
    parsed = config('<MagicWand name="w" toName="img"/>', *tags)
    wand = parsed.control("w")
    assert (wand.kind.name, wand.written_tag, wand.is_plain) == ("brush", "MagicWand", True)
    assert (wand.shown_in, wand.learned_labels) == (shown_in, () if shown_in else ("Cat", "Dog"))
    assert parsed.labels == ("Cat", "Dog") and parsed.left_alone == ()


def test_of_two_labels_tags_one_may_be_skipped():
    parsed = config(
        '<Rectangle name="r" toName="img"/>',
        '<Labels name="kind" toName="img"><Label value="Car"/></Labels>',
        '<Labels name="tone" toName="img" model_skip="true"><Label value="Red"/></Labels>',
    )
    control = parsed.control("r")
    assert (control.labels, control.learned_labels, control.is_skipped) == (("Car", "Red"), ("Car",), False)
    assert parsed.labels == ("Car",) and parsed.all_labels == ("Car", "Red")


@pytest.mark.parametrize(
    ("choice", "several"),
    [("multiple", True), ("Multiple", True), ("single", False), ("", False)],
)
def test_several_labels_of_one_group_are_taken_where_the_tag_says_so(choice, several):
    control = config(rectangles(f'choice="{choice}"')).control("rect")
    assert control.takes_several == several
    assert (control.group_of("Dog", ["Cat"]) is not None) == several
    assert control.group_of("Dog") and not control.group_of("Dog", ["Dog"]) and not control.group_of("Bird")


def test_two_groups_give_one_label_each():
    control = config(
        '<Rectangle name="r" toName="img"/>',
        '<Labels name="kind" toName="img"><Label value="Car"/><Label value="Bus"/></Labels>',
        '<Labels name="tone" toName="img" choice="multiple">',
        '<Label value="Red"/><Label value="Old"/></Labels>',
    ).control("r")
    assert control.takes_several
    assert control.group_of("Red", ["Car"]).tag == "tone" and control.group_of("Old", ["Car", "Red"])
    assert control.group_of("Bus", ["Red", "Car"]) is None


def test_several_controls_and_images():
    parsed = parse_label_config(
        '<View><Image name="front" value="$front"/><Image name="pages" valueList="$pages"/>'
        f'<RectangleLabels name="a" toName="front">{CAT_DOG}</RectangleLabels>'
        '<BrushLabels name="b" toName="pages"><Label value="Sky"/><Label value="Cat"/></BrushLabels>'
        '<PolygonLabels name="c" toName="elsewhere"><Label value="Lost"/></PolygonLabels></View>'
    )
    assert parsed.images == (ImageTag("front", "front"), ImageTag("pages", "pages", is_list=True))
    assert parsed.labels == ("Cat", "Dog", "Sky")
    assert [control.name for control in parsed.controls_for_image("pages")] == ["b"]
    assert parsed.image("front").value_key == "front"
    assert parsed.image("elsewhere") is None and parsed.control("c") is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param('value="$image"', ImageTag("img", "image"), id="variable"),
        pytest.param('value="image"', ImageTag("img", "image"), id="without dollar"),
        pytest.param('value="$data.url"', ImageTag("img", "data.url"), id="path"),
        pytest.param('valueList="$pages"', ImageTag("img", "pages", is_list=True), id="list"),
        pytest.param('VALUE="$image"', ImageTag("img", "image"), id="capitals"),
        pytest.param(
            'value="https://host/$name.png"',
            ImageTag("img", "https://host/$name.png", template="https://host/$name.png"),
            id="template",
        ),
    ],
)
def test_where_an_image_stands_in_the_task(attributes, expected):
    assert config(rectangles(), image=f'<Image name="img" {attributes}/>').images == (expected,)


def test_skipped_tags_teach_no_label_of_their_own():
    parsed = config(
        rectangles('model_skip="true"', '<Label value="Cat"/><Label value="Only here"/>'),
        '<KeyPointLabels name="k" toName="img"><Label value="Spot"/></KeyPointLabels>',
        '<BrushLabels name="b" toName="img"><Label value="Cat"/></BrushLabels>',
    )
    assert parsed.labels == ("Spot", "Cat")
    assert parsed.all_labels == ("Cat", "Only here", "Spot")
    assert parsed.control("rect").is_skipped and not parsed.control("b").is_skipped


CATS = '<BrushLabels name="b" toName="img"><Label value="Cat"/></BrushLabels>'


@pytest.mark.parametrize(
    ("smart", "other", "prompts", "learned"),
    [
        ('smart="true"', CATS, {"Cat"}, ("Tip",)),
        ('smart="true"', "", set(), ("Cat", "Tip")),
        ("", CATS, set(), ("Cat", "Tip")),
        ('smart="false"', CATS, set(), ("Cat", "Tip")),
    ],
    ids=["said to be smart", "nothing else draws", "smart by default", "not smart"],
)
def test_key_points_are_labels_but_where_they_click_on_what_another_tag_draws(smart, other, prompts, learned):
    labels = '<Label value="Cat"/><Label value="Tip"/>'
    points = f'<KeyPointLabels name="k" toName="img" {smart}>{labels}</KeyPointLabels>'
    control = config(points, other).control("k")
    assert (control.prompt_labels, control.learned_labels) == (prompts, learned)


def test_a_label_is_stored_by_its_alias_and_found_by_either_name():
    parsed = config(
        rectangles(labels='<Label value="Brand" alias="B" background="blue"/><Label value="Dog"/>')
    )
    assert parsed.labels == ("B", "Dog")
    assert parsed.colors == {"B": "blue"}
    assert [parsed.stored_label(name) for name in ("Brand", "B", "Dog", "?")] == ["B", "B", "Dog", "?"]


@pytest.mark.parametrize(
    "label",
    ["Katze 🐈", "a/b\\c", "../../x", "  spaced  ", "<&>\"'", "名前", "x" * 300],
    ids=lambda s: s[:12],
)
def test_labels_are_taken_as_written(label):
    from xml.sax.saxutils import quoteattr

    assert config(rectangles(labels=f"<Label value={quoteattr(label)}/>")).labels == (label,)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param("", (True, None, False), id="defaults"),
        pytest.param('smart="false"', (False, None, False), id="not smart"),
        pytest.param('model_score_threshold="0.25"', (True, 0.25, False), id="threshold"),
        pytest.param('model_score_threshold=""', (True, None, False), id="empty threshold"),
        pytest.param('model_score_threshold="0" model_skip="True"', (True, 0.0, True), id="skipped"),
        pytest.param('model_skip="false"', (True, None, False), id="not skipped"),
    ],
)
def test_attributes_for_the_model(attributes, expected):
    control = config(rectangles(attributes)).control("rect")
    assert (control.smart, control.score_threshold, control.is_skipped) == expected


def test_a_plain_tag_takes_what_its_labels_tag_says_for_the_model():
    parsed = config(
        '<Rectangle name="r" toName="img"/><Brush name="b" toName="img" model_score_threshold="0.5"/>',
        f'<Labels name="lab" toName="img" model_score_threshold="0.2">{CAT_DOG}</Labels>',
    )
    assert [control.score_threshold for control in parsed.controls] == [0.2, 0.5]


def test_labels_may_stand_in_further_tags():
    parsed = config(rectangles(labels=f"<View><Header value='x'/>{CAT_DOG}</View>"))
    assert parsed.labels == ("Cat", "Dog")


BOMB = '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><View>&b;</View>'
XXE = '<!DOCTYPE v [<!ENTITY f SYSTEM "file:///etc/passwd">]><View><Label value="&f;"/></View>'


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("  \n", "empty", id="blank"),
        pytest.param(None, "empty", id="null"),
        pytest.param({"View": 1}, "empty", id="object"),
        pytest.param("<View>", "not valid XML", id="cut short"),
        pytest.param("View", "not valid XML", id="no markup"),
        pytest.param("<View>\x00</View>", "not valid XML", id="control character"),
        pytest.param("<View>\ud800</View>", "not valid XML", id="lone surrogate"),
        pytest.param("<View>&nbsp;</View>", "not valid XML", id="unknown entity"),
        pytest.param(BOMB, "DOCTYPE", id="entity bomb"),
        pytest.param(XXE, "DOCTYPE", id="external entity"),
        pytest.param('<!DOCTYPE v SYSTEM "http://example.com/x.dtd"><View/>', "DOCTYPE", id="external dtd"),
        pytest.param("<View/>" + " " * 1_000_001, "characters", id="too long"),
        pytest.param("<View/>", "no <Image>", id="nothing"),
        pytest.param('<View><Text name="t" value="$t"/></View>', "no <Image>", id="no image"),
        pytest.param('<View><Image value="$i"/></View>', "no <Image>", id="image without name"),
        pytest.param(
            '<View><Image name="i" value="$i"/></View>', "no labels for its image (i)", id="no labels"
        ),
        pytest.param(
            '<View><Image name="i" value="$i"/><Rectangle name="r" toName="i"/></View>',
            "no labels for its image",
            id="plain tag alone",
        ),
        pytest.param(
            '<View><Image name="i" value="$i"/><Choices name="c" toName="i"/></View>',
            "no labels for its image",
            id="choices without a choice",
        ),
        pytest.param(
            '<View><Image name="i" value="$i"/><RectangleLabels name="r" toName="i"/></View>',
            "no labels for its image",
            id="labels tag without labels",
        ),
    ],
)
def test_refused_configs(xml, message):
    with pytest.raises(LabelConfigError, match=r"^the labeling config") as caught:
        parse_label_config(xml)
    assert message in str(caught.value)
    assert caught.value.field == "label_config"


@pytest.mark.parametrize("threshold", ["high", "-0.1", "1.5", "nan", "inf", "0,3"])
def test_a_bad_threshold_names_the_tag(threshold):
    with pytest.raises(LabelConfigError, match=r"^model_score_threshold of 'rect' must be"):
        config(rectangles(f'model_score_threshold="{threshold}"'))


def test_a_declaration_and_comments_do_no_harm():
    before = '\n<?xml version="1.0" encoding="utf-16"?><!-- <!DOCTYPE no> -->'
    xml = f'{before}<View><Image name="img" value="$image"/>{rectangles()}</View>'
    assert parse_label_config(xml).labels == ("Cat", "Dog")


def test_the_first_of_two_tags_of_one_name_counts():
    parsed = config(rectangles(), image='<Image name="img" value="$a"/><Image name="img" value="$b"/>')
    assert [image.value_key for image in parsed.images] == ["a"]


@pytest.mark.timeout(120)  # with work that grows as the square of the depth it would be hours
@pytest.mark.parametrize("tag", ["View", "RectangleLabels", "Labels"])
def test_deep_nesting_takes_no_time(tag):
    depth = 25_000
    nested = f"<{tag}>" * depth + f"</{tag}>" * depth
    assert config(rectangles(), nested).labels == ("Cat", "Dog")


def test_the_same_config_is_parsed_once():
    xml = f'<View><Image name="img" value="$image"/>{rectangles()}</View>'
    assert parse_label_config(xml) is parse_label_config("".join(xml))


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    with pytest.raises(LabelConfigError):
        parse_label_config(text)


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=20
)


@given(
    st.lists(names, min_size=1, max_size=8),
    st.sampled_from(["RectangleLabels", "brushLabels", "POLYGONLABELS"]),
)
def test_any_labels_come_back_unique_and_in_order(labels, tag):
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.Element("View")
    ElementTree.SubElement(root, "Image", name="img", value="$image")
    control = ElementTree.SubElement(root, tag, name="c", toName="img")
    for label in labels:
        ElementTree.SubElement(control, "Label", value=label)
    parsed = parse_label_config(ElementTree.tostring(root, encoding="unicode"))
    assert parsed.labels == tuple(dict.fromkeys(labels))


def test_control_tags_that_are_left_alone_are_named():
    config = parse_label_config(
        """<View>
          <Image name="photo" value="$photo"/><Text name="note" value="$note"/>
          <RectangleLabels name="box" toName="photo"><Label value="Cat"/></RectangleLabels>
          <Polygon name="outline" toName="photo"/>
          <Labels name="names" toName="photo"><Label value="Dog"/></Labels>
          <Labels name="words" toName="note"><Label value="Verb"/></Labels>
          <TextArea name="remark" toName="photo"/>
          <Relations/>
        </View>"""
    )
    assert [(tag.name, tag.tag, tag.to_name) for tag in config.others] == [
        ("words", "Labels", "note"),
        ("remark", "TextArea", "photo"),
    ]
    assert config.labels == ("Cat", "Dog")
