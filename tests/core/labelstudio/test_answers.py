"""Answers about whole images: which images they are about, what they teach, how they are written."""

from collections import Counter

import numpy as np
import pytest

from backend.core.answers.options import Chances, Question
from backend.core.labelstudio.annotations import annotated_task
from backend.core.labelstudio.answers import answers_to_results
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.task_pages import task_pages

KIND = '<Choices name="kind" toName="img"><Choice value="cat"/><Choice value="dog" alias="d"/></Choices>'
CONFIG = parse_label_config(f'<View><Image name="img" value="$image"/>{KIND}</View>')
TWO_VIEWS = """<View><Image name="left" value="$a"/><Image name="right" value="$b"/>
  <Choices name="one" toName="left"><Choice value="x"/><Choice value="y"/></Choices>
  <Choices name="both" toName="left,right"><Choice value="x"/><Choice value="y"/></Choices></View>"""

REPEATED = """<View><Repeater on="$images" indexFlag="{{idx}}">
  <Image name="img_{{idx}}" value="$images[{{idx}}]"/>
  <Choices name="kind_{{idx}}" toName="img_{{idx}}"><Choice value="cat"/><Choice value="dog"/></Choices>
  </Repeater></View>"""


def choices(*names, tag="kind", to_name="img", **more):
    value = {"choices": list(names)}
    return {"from_name": tag, "to_name": to_name, "type": "choices", "value": value, **more}


def task(*results, data=None):
    return {"id": 1, "data": data or {"image": "a.png"}, "annotations": [{"id": 1, "result": list(results)}]}


def per_item_config():
    xml = '<View><Image name="img" valueList="$images"/>' + KIND.replace("toName", 'perItem="true" toName')
    return parse_label_config(xml + "</View>")


def taught(config, task):
    annotated = annotated_task(task, config)
    return [page.extras.get("choices", {}) for page in annotated.pages], annotated.unusable


def results_of(config, data, *found, threshold=0.5):
    """Return what is written where the heads found these chances by control tag, page by page."""
    asked = config.asked["choices"]
    pages = task_pages({"data": data}, config)
    extras = [
        {"choices": {name: Chances(Question.from_json(asked[name]), values) for name, values in one.items()}}
        for one in found
    ]
    thresholds = dict.fromkeys(asked, threshold)
    return answers_to_results(
        list(zip(pages, extras, strict=True)), config, thresholds, np.random.default_rng(0)
    )


def test_a_config_of_choices_alone_is_learned():
    assert CONFIG.why_nothing_is_learned is None
    assert CONFIG.asked["choices"]["kind"]["options"] == [["cat"], ["d"]]
    assert taught(CONFIG, task(choices("d"))) == ([{"kind": [1]}], Counter())


def test_bad_answers_are_counted_and_cost_nothing_else():
    extras, unusable = taught(CONFIG, task(choices("cow"), choices("cat", tag="other")))
    assert extras == [{}]
    assert unusable == {"unknown_choice": 1, "unknown_control": 1}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (choices("cat", to_name="old"), ("unknown_control", "old")),
        ({**choices("cat"), "type": "rating", "value": {"rating": 3}}, ("bad_answer", None)),
        ({**choices("cat"), "type": "pairwise"}, ("bad_answer", None)),
    ],
    ids=["of another image", "from when the tag was another", "of no kind"],
)
def test_an_answer_that_its_tag_cannot_take_is_counted(answer, reason):
    annotated = annotated_task(task(answer), CONFIG)
    assert annotated.unusable == {reason[0]: 1}
    assert annotated.unknown == ({reason: 1} if reason[1] else {})
    assert [page.extras for page in annotated.pages] == [{}]


@pytest.mark.parametrize("index", [2, "first"])
def test_an_answer_to_a_picture_that_the_list_has_not_is_counted(index):
    config = per_item_config()
    answered = task(choices("cat", item_index=index), choices("d"), data={"images": ["1.png", "2.png"]})
    assert taught(config, answered) == ([{"kind": [1]}, {}], Counter(unknown_page=1))


def test_choices_of_a_repeater_are_learned_and_predicted_item_by_item():
    config = parse_label_config(REPEATED)
    data = {"images": ["1.png", "2.png"]}
    answered = task(choices("dog", tag="kind_1", to_name="img_1"), data=data)
    assert taught(config, answered) == ([{}, {"kind_{{idx}}": [1]}], Counter())
    results = results_of(config, data, {"kind_{{idx}}": (0.9, 0.1)}, {"kind_{{idx}}": (0.2, 0.8)})
    written = [(r["from_name"], r["to_name"], r["value"]["choices"]) for r in results]
    assert written == [("kind_0", "img_0", ["cat"]), ("kind_1", "img_1", ["dog"])]


def test_an_answer_to_an_item_that_the_repeater_has_not_is_counted():
    answered = task(choices("cat", tag="kind_2", to_name="img_2"), data={"images": ["1.png", "2.png"]})
    assert taught(parse_label_config(REPEATED), answered) == ([{}, {}], Counter(unknown_page=1))


def test_to_name_decides_which_images_an_answer_is_about():
    config = parse_label_config(TWO_VIEWS)
    both = task(
        choices("x", tag="one", to_name="left"),
        choices("y", tag="both", to_name="left"),
        data={"a": "1.png", "b": "2.png"},
    )
    assert taught(config, both) == ([{"one": [0], "both": [1]}, {"both": [1]}], Counter())


def test_one_answer_about_several_images_is_written_once_from_all_of_them():
    config = parse_label_config(TWO_VIEWS)
    results = results_of(
        config,
        {"a": "1.png", "b": "2.png"},
        {"one": (0.9, 0.1), "both": (0.6, 0.4)},
        {"one": (0.1, 0.9), "both": (0.1, 0.9)},
    )
    written = [(r["from_name"], r["to_name"], r["value"], r["score"]) for r in results]
    assert written == [
        ("one", "left", {"choices": ["x"]}, 0.9),
        ("both", "left", {"choices": ["y"]}, 0.65),
    ]


def test_each_picture_of_a_list_has_its_own_answer_with_per_item():
    config = per_item_config()
    data = {"images": ["1.png", "2.png"]}
    answered = task(choices("cat", item_index=1), data=data)
    assert taught(config, answered) == ([{}, {"kind": [0]}], Counter())
    results = results_of(config, data, {"kind": (0.9, 0.1)}, {"kind": (0.2, 0.8)})
    assert [(r["item_index"], r["value"]["choices"]) for r in results] == [(0, ["cat"]), (1, ["d"])]


def test_a_skipped_choice_is_left_alone():
    config = parse_label_config(
        '<View><Image name="img" value="$image"/>'
        + KIND.replace("toName", 'model_skip="true" toName')
        + '<RectangleLabels name="r" toName="img"><Label value="Cat"/></RectangleLabels></View>'
    )
    assert [alone.name for alone in config.left_alone] == ["kind"]
    assert taught(config, task(choices("cat"))) == ([{}], Counter())


def test_what_was_not_learned_is_not_written():
    assert results_of(CONFIG, {"image": "a.png"}, {}) == []
