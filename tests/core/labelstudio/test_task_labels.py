"""Labels that stand in the data of each task."""

from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.prompts import parse_prompts
from backend.core.labelstudio.task_labels import (
    MOST_LABELS,
    config_of_task,
    config_of_tasks,
    keys_without_labels,
)

SHELF = """<View><PolygonLabels name="goods" toName="image" value="$objects"/>
<Image name="image" value="$image"/></View>"""
MIXED = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image" value="$data.names"><Label value="Other"/></RectangleLabels>
<Labels name="kind" toName="image" value="$kinds"/><Ellipse name="oval" toName="image"/>
<BrushLabels name="off" toName="image" value="$more" model_skip="true"/></View>"""


def task(id_=1, **data):
    return {"id": id_, "data": {"image": f"{id_}.png", **data}}


def named(*names):
    return [{"value": name} for name in names]


def test_a_config_whose_labels_stand_in_the_tasks_is_accepted():
    config = parse_label_config(SHELF)
    assert config.labels == () and config.task_keys == ("objects",)
    assert config.why_nothing_is_learned is None and config.left_alone == ()


def test_a_task_has_its_own_labels_and_a_training_those_of_all():
    config = parse_label_config(SHELF)
    tasks = [task(1, objects=named("Cola", "Water")), task(2, objects=named("Juice", "Cola")), "no task"]
    assert config_of_task(config, tasks[1]).labels == ("Juice", "Cola")
    union = config_of_tasks(config, tasks)
    assert union.labels == ("Cola", "Water", "Juice")  # that which most tasks name comes first
    assert config_of_task(union, tasks[0]).labels == ("Cola", "Water")
    assert config_of_task(union, task(3)).labels == ()


def test_labels_of_tasks_stand_beside_those_of_the_config_and_each_tag_has_its_own():
    config = config_of_task(
        parse_label_config(MIXED),
        task(data={"names": named("Cat", "Other")}, kinds=named("Old"), more=named("Secret")),
    )
    assert config.task_keys == ("data.names", "kinds")
    assert config.control("box").labels == ("Other", "Cat")
    assert config.control("oval").labels == ("Old",)
    assert config.labels == ("Other", "Cat", "Old")


def test_a_label_of_a_task_has_alias_and_colour():
    listed = [{"value": "Cola", "alias": "c", "background": "#c00", "html": "<b/>"}, {"value": 7}]
    config = config_of_task(parse_label_config(SHELF), task(objects=listed))
    assert config.labels == ("c", "7")
    assert config.colors == {"c": "#c00"}
    assert config.stored_label("Cola") == "c"


@pytest.mark.parametrize(
    "objects",
    [
        None,
        "Cola, Water",
        "x" * 100_000,
        '[{"value": "Cola"}]',
        7,
        {},
        [],
        [None, 3, "Cola"],
        [{"text": "Cola"}],
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_list_of_labels_gives_none(objects):
    config = parse_label_config(SHELF)
    broken = task(1, objects=objects)
    assert keys_without_labels(config, broken) == ("objects",)
    assert config_of_task(config, broken).labels == ()
    assert config_of_tasks(config, [broken, task(2, objects=named("Cola"))]).labels == ("Cola",)
    assert keys_without_labels(config, {"id": 3, "data": "x"}) == ("objects",)


def test_a_great_many_names_are_cut_to_those_that_most_tasks_have():
    config = parse_label_config(SHELF)
    tasks = [task(k, objects=named("Cola", *(f"{k}-{n}" for n in range(30)))) for k in range(60)]
    union = config_of_tasks(config, tasks)
    assert len(union.labels) == MOST_LABELS and union.labels[0] == "Cola"


def test_a_config_without_such_tags_is_not_looked_at_twice():
    config = parse_label_config(SHELF.replace('value="$objects"/>', '><Label value="Cola"/></PolygonLabels>'))
    assert config_of_task(config, task(objects=named("Water"))) is config
    assert config_of_tasks(config, [task(objects=named("Water"))]) is config
    assert keys_without_labels(config, task()) == ()


def test_a_prompt_is_understood_by_the_labels_of_its_task():
    its_task = task(objects=[{"value": "Cola", "alias": "c"}])
    prompt = {
        "id": "a",
        "from_name": "goods",
        "to_name": "image",
        "type": "polygonlabels",
        "value": {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["Cola"]},
    }
    config = config_of_task(parse_label_config(SHELF), its_task)
    assert parse_prompts({"result": [prompt]}, its_task, config).labels == ("c",)
