from __future__ import annotations

from backend.core.labelstudio.corrections import (
    Correction,
    fingerprint,
    with_geometry_of,
    with_label,
    with_relations,
)
from backend.core.labelstudio.label_config import parse_label_config

PLAIN = parse_label_config(
    """
    <View>
      <Image name="image" value="$image"/>
      <Rectangle name="shape" toName="image"/>
      <Labels name="kind" toName="image"><Label value="Cat"/><Label value="Dog"/></Labels>
      <RectangleLabels name="other" toName="image"><Label value="Cow"/></RectangleLabels>
    </View>
    """
)
PLACE = {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0}


def plain_region(label="Cat"):
    return (
        {"id": "a", "from_name": "shape", "to_name": "image", "type": "rectangle", "value": PLACE},
        {
            "id": "a",
            "from_name": "kind",
            "to_name": "image",
            "type": "labels",
            "value": {**PLACE, "labels": [label]},
        },
        {"id": "a", "from_name": "note", "to_name": "image", "type": "textarea", "value": {"text": ["hi"]}},
    )


def test_what_goes_has_to_be_there_as_it_was():
    one, two, three = ({"id": name} for name in "abc")
    change = Correction((two,), ({"id": "new"},))
    assert change.applied([one, two, three]) == [one, {"id": "new"}, three]
    assert change.applied([one, {"id": "b", "score": 1}]) is None
    assert change.reversed().applied([one, {"id": "new"}, three]) == [one, two, three]


def test_a_region_goes_with_its_relations_and_texts():
    relation = {"type": "relation", "from_id": "b", "to_id": "a"}
    result = [*plain_region(), {"id": "b"}, relation]
    assert with_relations(result, "a") == (*plain_region(), relation)


def test_geometry_changes_in_every_result_that_has_it_and_nothing_else_does():
    proposed = [{"from_name": "shape", "type": "rectangle", "value": {**PLACE, "x": 50}}]
    changed = with_geometry_of(plain_region(), proposed)
    assert changed is not None
    assert [one["value"].get("x") for one in changed] == [50, 50, None]
    assert changed[1]["value"]["labels"] == ["Cat"] and changed[2] == plain_region()[2]
    assert with_geometry_of(plain_region(), [{**proposed[0], "from_name": "other"}]) is None


def test_a_label_is_written_where_its_tag_has_it_and_else_the_region_is_drawn_anew():
    changed = with_label(plain_region(), "Dog", PLAIN, [])
    assert changed[1]["value"]["labels"] == ["Dog"] and (changed[0], changed[2]) == plain_region()[::2]
    anew = [{"id": "n", "from_name": "other"}]
    assert with_label(plain_region(), "Cow", PLAIN, anew) == tuple(anew)


def test_fingerprints_tell_results_apart_whatever_the_order_of_their_keys():
    assert fingerprint([{"a": 1, "b": 2}]) == fingerprint([{"b": 2, "a": 1}])
    assert fingerprint([{"a": 1}]) != fingerprint([{"a": 2}])
