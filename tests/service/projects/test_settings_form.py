from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.service.projects.documents import ProjectSettings
from backend.service.projects.parameters import FROM_EXTRA_PARAMS, FROM_PROJECT
from backend.service.projects.projects import Projects
from backend.service.projects.settings_form import (
    SettingsRefused,
    change_settings,
    read_settings,
)
from backend.training.parameters import PARAMETER_NAMES, TrainingParams
from tests.fakes.documents import FakeDocuments

KEY = "7.1763750000"


@pytest.fixture
def projects():
    return Projects(FakeDocuments())


def test_a_backbone_that_timm_does_not_have_is_not_saved(projects):
    with pytest.raises(SettingsRefused) as caught:
        change_settings(projects, KEY, {"params": {"backbone": "resnet999", "epochs": 7}})
    assert "timm" in caught.value.errors["backbone"]
    assert projects.settings(KEY).params == {}
    change_settings(projects, KEY, {"params": {"backbone": "resnet26d"}})
    assert projects.settings(KEY).params == {"backbone": "resnet26d"}


def test_what_another_web_process_saved_a_moment_ago_stays():
    documents = FakeDocuments()
    one, other = Projects(documents), Projects(documents)
    read_settings(other, KEY)  # the other process knows the settings as they were
    change_settings(one, KEY, {"params": {"epochs": 7}})
    change_settings(other, KEY, {"predict_after_training": True, "params": {"batch_size": 2}})
    saved = Projects(documents).settings(KEY)
    assert saved.params == {"epochs": 7, "batch_size": 2} and saved.predict_after_training


def test_of_values_that_are_saved_at_once_none_is_lost(projects):
    values = {"epochs": 7, "batch_size": 2, "image_size": 320, "confidence_threshold": 0.5}
    with ThreadPoolExecutor(len(values)) as threads:
        list(
            threads.map(lambda item: change_settings(projects, KEY, {"params": dict([item])}), values.items())
        )
    assert projects.settings(KEY).params == values


def test_every_wrong_value_is_told_at_once(projects):
    changes = {
        "params": {"epochs": 0, "image_size": 300},
        "activation": "best",
        "auto_train": {"annotations": 0},
    }
    with pytest.raises(SettingsRefused) as caught:
        change_settings(projects, KEY, changes)
    assert set(caught.value.errors) >= {"epochs", "image_size", "activation", "auto_train.annotations"}


def test_saved_values_come_first_and_say_so(projects):
    projects.remember(KEY, extra_params='{"epochs": 5, "batch_size": 4}')
    view = change_settings(projects, KEY, {"params": {"epochs": 7}})
    assert (view["effective"]["epochs"], view["origins"]["epochs"]) == (7, FROM_PROJECT)
    assert (view["effective"]["batch_size"], view["origins"]["batch_size"]) == (4, FROM_EXTRA_PARAMS)
    assert view["origins"]["image_size"] == "default"
    assert view["problem"] is None


def test_null_forgets_a_saved_value_and_what_is_absent_stays(projects):
    change_settings(projects, KEY, {"params": {"epochs": 7, "image_size": 320}, "activation": "newest"})
    view = change_settings(projects, KEY, {"params": {"epochs": None}})
    assert view["saved"]["params"] == {"image_size": 320}
    assert view["saved"]["activation"] == "newest"


def test_chosen_images_are_kept_as_json_has_them(projects):
    view = change_settings(projects, KEY, {"params": {"task_ids": [3, 1]}})
    assert view["saved"]["params"]["task_ids"] == view["effective"]["task_ids"] == [3, 1]
    assert change_settings(projects, KEY, {"params": {"task_ids": None}})["effective"]["task_ids"] is None


def test_both_heads_off_is_refused_also_when_one_is_off_by_the_connection(projects):
    projects.remember(KEY, extra_params='{"enable_segmentation": false}')
    with pytest.raises(SettingsRefused) as caught:
        change_settings(projects, KEY, {"params": {"enable_detection": False}})
    assert set(caught.value.errors) == {"enable_detection"}
    assert projects.settings(KEY).params == {}


def test_a_value_that_no_longer_passes_is_named_and_left_out(projects):
    projects.save_settings(KEY, ProjectSettings(params={"epochs": 9000, "image_size": 320}))
    view = read_settings(projects, KEY)
    assert "epochs" in view["problem"]
    assert view["effective"] == TrainingParams().as_dict()
    assert change_settings(projects, KEY, {"params": {"epochs": None}})["problem"] is None


def test_extra_params_that_cannot_be_used_are_told(projects):
    projects.remember(KEY, extra_params="{")
    assert "Extra params" in read_settings(projects, KEY)["problem"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ({"annotations": 5, "quiet_minutes": 0}, {"annotations": 5, "quiet_minutes": 0.0}),
        ({"annotations": 100_000, "quiet_minutes": 0.5}, {"annotations": 100_000, "quiet_minutes": 0.5}),
    ],
    ids=["off", "at once", "widest"],
)
def test_automatic_training_is_switched(projects, value, kept):
    change_settings(projects, KEY, {"auto_train": {"annotations": 9, "quiet_minutes": 9}})
    assert change_settings(projects, KEY, {"auto_train": value})["saved"]["auto_train"] == kept


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("soon", ["auto_train"]),
        ({}, ["auto_train.annotations", "auto_train.quiet_minutes"]),
        ({"annotations": True, "quiet_minutes": 1}, ["auto_train.annotations"]),
        ({"annotations": 1, "quiet_minutes": 1441}, ["auto_train.quiet_minutes"]),
        ({"annotations": 1, "quiet_minutes": float("nan")}, ["auto_train.quiet_minutes"]),
    ],
    ids=str,
)
def test_wrong_automatic_training_is_refused_by_field(projects, value, fields):
    with pytest.raises(SettingsRefused) as caught:
        change_settings(projects, KEY, {"auto_train": value})
    assert sorted(caught.value.errors) == fields


def test_every_parameter_is_described(projects):
    described = {field["name"]: field for field in read_settings(projects, KEY)["fields"]}
    assert tuple(described) == PARAMETER_NAMES
    assert all(field["title"] and field["explanation"] for field in described.values())
    assert (described["epochs"]["type"], described["epochs"]["minimum"], described["epochs"]["maximum"]) == (
        "integer",
        1,
        500,
    )
    assert described["image_size"]["choices"] == [224, 320, 416, 512, 640]
    assert described["enable_detection"]["type"] == "boolean"
