"""Labels as converters and operating systems write them."""

from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.label_names import read_names


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["Car", "Bus"], ["Car", "Bus"]),
        ("Car", ["Car"]),
        ([3, 4.0], ["3", "4"]),
        (0, ["0"]),
        ([True, None, 1.5, "", {"name": "Car"}, ["Car"]], []),
        (None, []),
        ({}, []),
    ],
    ids=str,
)
def test_the_names_in_what_stands_where_a_list_belongs(labels, names):
    assert read_names(labels) == names


@pytest.mark.parametrize(
    ("in_config", "written", "stored"),
    [
        (["Sport glove", "Glove"], "Sport  glove ", "Sport glove"),
        (["Caf\u00e9"], "Cafe\u0301", "Caf\u00e9"),
        (["Cat "], "Cat", "Cat "),
        (["Cat", "Cat "], "Cat ", "Cat "),
        (["Cat", "Cat "], " Cat", " Cat"),
        (["Cat"], "cat", "cat"),
    ],
    ids=["blanks", "accent", "blank in the config", "exact", "either", "case counts"],
)
def test_a_label_is_meant_where_only_one_is_spelled_alike(in_config, written, stored):
    labels = "".join(f'<Label value="{label}"/>' for label in in_config)
    config = parse_label_config(
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="box" toName="image">{labels}</RectangleLabels></View>'
    )
    assert config.stored_label(written) == stored


def test_an_alias_is_meant_by_what_is_spelled_like_its_value():
    config = parse_label_config(
        '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
        '<Label value="Sport glove" alias="g"/></RectangleLabels></View>'
    )
    assert config.stored_label("Sport glove ") == "g"
