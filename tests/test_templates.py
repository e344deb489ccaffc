"""Every image template of Label Studio: its config is accepted, learned from two pictures, and predicted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from label_studio_sdk.label_interface import LabelInterface

from backend import offline
from backend.bootstrap.jobs import build_trainings
from backend.core.labelstudio.annotations import annotated_task
from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import LabelConfigError
from backend.settings import Settings
from backend.training.run import train_version
from demo.pictures import draw_pictures
from harness.templates import TEMPLATES, Template, controls_of
from tests.learning_scenes import QUICK

PARAMS = ("image_size=224", "batch_size=2", "pretrained=false")
EPOCHS = {"keypoints": 6}
"""One is enough elsewhere: what begins trained finds something at once, and heat maps begin flat."""
SIZE_WH = (160, 120)
BY_NAME = {template.name: template for template in TEMPLATES}


def train_quickly(inputs, observer):
    """Train in this process, with few views and untuned smart tools."""
    return train_version(replace(inputs, recipe=QUICK), observer)


def tasks_of(template: Template, folder: Path) -> list[dict]:
    """Draw two labelled tasks and one without labels; their pictures stand in the folder."""
    stored = iter(range(100))

    def store(picture) -> str:
        name = f"{next(stored)}.jpg"
        (folder / name).write_bytes(picture.as_jpeg())
        return name

    pages = len(template.pages)
    pictures = draw_pictures(3 * pages, 3, SIZE_WH)
    shown = [pictures[k * pages : (k + 1) * pages] for k in range(3)]
    tasks = [template.labelled_task(k, shown[k], store) for k in (0, 1)] + [template.task(shown[2], store)]
    return [{"id": k, **task} for k, task in enumerate(tasks, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, template in BY_NAME.items() if template.is_learned])
def test_a_template_is_learned_and_predicted_as_the_editor_takes_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "build_trainings", partial(build_trainings, train=train_quickly))
    template = BY_NAME[name]
    tasks_file, config_file, out = (tmp_path / f for f in ("tasks.json", "config.xml", "predicted.json"))
    tasks = tasks_of(template, tmp_path)
    tasks_file.write_text(json.dumps(tasks))
    config_file.write_text(template.config)
    settings = Settings(data_dir=tmp_path / "data", device="cpu", ocr="off")
    params = (*PARAMS, f"epochs={EPOCHS.get(name, 1)}")
    assert offline.train_on_file(settings, tasks_file, config_file, "1", tmp_path, params) == 0
    predicted = offline.predict_file(
        settings, tasks_file, config_file, "1", tmp_path, version=None, confidence_threshold=0.01, out=out
    )
    assert predicted == 0
    results = [
        result
        for task in json.loads(out.read_text())
        for prediction in task["predictions"]
        for result in prediction["result"]
    ]
    assert {result["type"] for result in results} == template.predicts - {"textarea"}
    assert set(template.places) <= {result.get("item_index") for result in results}
    interface = LabelInterface(template.config)
    for task in json.loads(out.read_text()):
        for prediction in task["predictions"]:
            interface.task = task["data"]
            assert interface.validate_prediction(prediction, return_errors=True) == []


def test_every_page_of_a_list_is_labelled(tmp_path):
    template = BY_NAME["multipage-documents"]
    [labelled, *_] = tasks_of(template, tmp_path)
    annotated = annotated_task(labelled, parse_label_config(template.config))
    assert not annotated.unusable
    assert len(annotated.pages) == 2 and all(page.regions for page in annotated.pages)


@pytest.mark.parametrize("name", [name for name, template in BY_NAME.items() if not template.is_learned])
def test_a_template_that_teaches_nothing_is_refused_with_each_of_its_tags_named(name):
    with pytest.raises(LabelConfigError) as refused:
        config = parse_label_config(BY_NAME[name].config)
        raise LabelConfigError(config.why_nothing_is_learned)
    for _, control, to_name, *_ in controls_of(BY_NAME[name].config):
        if to_name:
            assert control in str(refused.value)


@pytest.mark.e2e
@pytest.mark.parametrize("name", BY_NAME)
def test_the_controls_are_those_of_the_installed_template(name):
    program = Path(os.environ["LABEL_STUDIO_BIN"])
    [package] = program.resolve().parent.parent.glob("lib/python3*/site-packages/label_studio")
    assert controls_of(BY_NAME[name].installed(package)) == controls_of(BY_NAME[name].config)
