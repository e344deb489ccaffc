from __future__ import annotations

import json

import jsonschema
import pytest
from openapi_spec_validator import validate

from backend.training.parameters import PARAMETER_NAMES, TrainingParams
from backend.web.parameter_schema import changes_schema
from tests.web.described import declared_routes, described, described_path


def test_every_route_is_described_and_nothing_else(client):
    found = {
        (method, described_path(rule.rule))
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    document = client.get("/openapi.json").json
    stated = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert stated == found


def test_the_description_is_valid_openapi(client):
    document = client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_operations_have_names_of_their_own():
    names = [route.name for route in declared_routes()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere():
    text = json.dumps(described())
    references = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert references <= described()["components"]["schemas"].keys()


def test_a_password_is_wanted_everywhere_but_at_health():
    without = [route.path for route in declared_routes() if 401 not in route.problems]
    assert without == ["/health"]
    assert described()["paths"]["/health"]["get"]["security"] == []


def test_parameters_are_described_as_they_are_checked():
    schema = TrainingParams.schema()
    assert tuple(schema["properties"]) == PARAMETER_NAMES
    jsonschema.validate(TrainingParams().as_dict(), schema)


@pytest.mark.parametrize(
    "params",
    [
        {"epochs": 0},
        {"epochs": None},
        {"batch_size": 65},
        {"image_size": 300},
        {"backbone": ""},
        {"speed": 1},
    ],
    ids=str,
)
def test_wrong_parameters_do_not_fit_their_schema(params):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(params, TrainingParams.schema())


def test_a_saved_parameter_may_be_forgotten_by_null():
    jsonschema.validate({"epochs": None, "task_ids": None}, changes_schema())
