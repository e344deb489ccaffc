import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ParameterError
from backend.training.parameters import PARAMETER_NAMES, TrainingParams, parse_parameter, resolve_params


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("epochs", 1, 1),
        ("epochs", 500.0, 500),
        ("batch_size", 64, 64),
        ("learning_rate", 0.1, 0.1),
        ("learning_rate", 0.00001, 0.00001),
        ("confidence_threshold", 1, 1.0),
        ("nms_threshold", 0.01, 0.01),
        ("image_size", 640, 640),
        ("enable_detection", False, False),
        ("pretrained", True, True),
        ("backbone", "convnext_tiny", "convnext_tiny"),
        ("task_ids", [3, 1], (3, 1)),
        ("task_ids", None, None),
        ("start_from", "20261121-204455-3f2a", "20261121-204455-3f2a"),
    ],
    ids=str,
)
def test_values_within_their_range(name, value, parsed):
    found = parse_parameter(name, value)
    assert found == parsed and type(found) is type(parsed)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("epochs", 0, "a whole number from 1 to 500, got '0'"),
        ("epochs", 501, "from 1 to 500"),
        ("epochs", 2.5, "a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", "5", "a whole number"),
        ("epochs", None, "a whole number"),
        ("epochs", float("inf"), "a whole number"),
        ("batch_size", 65, "from 1 to 64"),
        ("learning_rate", 0.2, "a number from 0.00001 to 0.1"),
        ("learning_rate", float("nan"), "a number"),
        ("confidence_threshold", 0, "from 0.01 to 1"),
        ("nms_threshold", "0.4", "from 0.01 to 1"),
        ("image_size", 300, "one of 224, 320, 416, 512, 640"),
        ("image_size", [416], "one of 224"),
        ("image_size", True, "one of 224"),
        ("pretrained", "false", "true or false"),
        ("enable_detection", 1, "true or false"),
        ("backbone", "", "a name"),
        ("backbone", 18, "a name"),
        ("task_ids", [], "a non-empty list"),
        ("task_ids", [1, "2"], "list of whole numbers"),
        ("task_ids", "1,2", "a non-empty list"),
        ("start_from", "x" * 201, "a name"),
        ("epoch", 3, "unknown parameter 'epoch'; known are epochs, batch_size"),
    ],
    ids=str,
)
def test_a_refusal_names_field_range_and_value(name, value, wanted):
    with pytest.raises(ParameterError) as caught:
        parse_parameter(name, value)
    assert name in str(caught.value) and wanted in str(caught.value)
    assert caught.value.field == name


def test_without_layers_all_are_defaults():
    params, origins = resolve_params([])
    assert params == TrainingParams()
    assert origins == dict.fromkeys(PARAMETER_NAMES, "default")


def test_the_strongest_layer_wins_value_by_value():
    layers = [
        ("request", {"epochs": 3}),
        ("project settings", {"epochs": 9, "image_size": 320}),
        ("extra params", {"image_size": 640, "pretrained": False}),
    ]
    params, origins = resolve_params(layers)
    assert (params.epochs, params.image_size, params.pretrained, params.batch_size) == (3, 320, False, 8)
    named = {name: origin for name, origin in origins.items() if origin != "default"}
    assert named == {"epochs": "request", "image_size": "project settings", "pretrained": "extra params"}


def test_a_bad_value_names_where_it_came_from():
    with pytest.raises(ParameterError, match=r"epochs must be .* \(from extra params\)"):
        resolve_params([("request", {"epochs": 3}), ("extra params", {"epochs": 0})])


def test_one_head_must_be_on():
    with pytest.raises(ParameterError, match="both false") as caught:
        resolve_params([("request", {"enable_detection": False, "enable_segmentation": False})])
    assert caught.value.field == "enable_detection"


def test_as_dict_is_fit_for_json():
    params, _ = resolve_params([("request", {"task_ids": [4, 5]})])
    assert params.as_dict()["task_ids"] == [4, 5]
    assert set(params.as_dict()) == set(PARAMETER_NAMES)


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.sampled_from(PARAMETER_NAMES), anything)
def test_any_value_is_parsed_or_refused(name, value):
    try:
        parsed = parse_parameter(name, value)
    except ParameterError:
        return
    assert parse_parameter(name, parsed) == parsed
