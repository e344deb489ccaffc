from __future__ import annotations

import pytest

from backend.service.projects import Projects
from backend.service.settings_form import SettingsRefused, change_settings
from tests.fakes import FakeDocuments

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


def test_every_wrong_value_is_told_at_once(projects):
    changes = {
        "params": {"epochs": 0, "image_size": 300},
        "activation": "best",
        "auto_train": {"annotations": 0},
    }
    with pytest.raises(SettingsRefused) as caught:
        change_settings(projects, KEY, changes)
    assert set(caught.value.errors) >= {"epochs", "image_size", "activation", "auto_train.annotations"}
