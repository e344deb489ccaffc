from __future__ import annotations

import pytest

from backend.service.projects.documents import (
    AutoTrain,
    Connection,
    Deletion,
    ImageCredentials,
    ProjectSettings,
)


@pytest.mark.parametrize(
    "value",
    [
        Connection("http://ls", "token", {"epochs": 9}, None, "<View/>", 12.5, ImageCredentials("ann", "pw")),
        Connection(extra_params_problem="epochs is wrong"),
        ProjectSettings({"epochs": 9}, True, "newest", AutoTrain(10, 2.5)),
        ProjectSettings(),
        Deletion(1.8e9, was_missing=True),
    ],
    ids=["connection", "unusable extra params", "settings", "no settings", "deletion"],
)
def test_what_is_written_is_read(value):
    assert type(value).from_document(value.as_document()) == value


def test_a_connection_of_release_0_1_has_no_image_credentials():
    written = {
        "hostname": "http://ls",
        "access_token": "token",
        "extra_params": {},
        "extra_params_problem": None,
        "label_config": None,
        "last_seen": 1.0,
    }
    connection = Connection.from_document(written)
    assert connection == Connection("http://ls", "token", last_seen=1.0)
    assert not connection.image_credentials


def test_fields_of_a_later_release_are_passed_over():
    assert Connection.from_document({"hostname": "http://ls", "flavour": "new"}).hostname == "http://ls"


def test_secrets_do_not_show():
    shown = repr(
        Connection(access_token="tell-nobody", image_credentials=ImageCredentials("ann", "opensesame"))
    )
    assert "tell-nobody" not in shown
    assert "opensesame" not in shown
