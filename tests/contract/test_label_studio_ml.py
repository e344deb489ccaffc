"""The class in model.py under both generations of label-studio-ml, called as their servers call it.

Each generation is stood in for by a base class with its constructor and its calls, written after its source
(1.0.9 from PyPI, 2.x at d02cedf), so that neither has to be installed; the installed one is tried as well.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from tests.fakes.images import FakeImages
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, annotated, picture, rectangle

ROOT = Path(__file__).resolve().parents[2]
KEY = "7.1763750000"
PROJECT = {"id": 7, "created_at": "2025-11-21T18:33:20Z", "label_config": RECTANGLES}


class SecondGeneration:
    """What 2.x's LabelStudioMLBase does with its arguments and its cache."""

    def __init__(self, project_id=None, label_config=None):
        self.cache = {}
        self.project_id = project_id or ""
        if label_config is not None:
            self.use_label_config(label_config)
        if not self.model_version:
            self.set("model_version", "0.0.1")
        self.setup()

    def setup(self):
        pass

    def use_label_config(self, label_config):
        raise AssertionError("ours is called instead")

    def get(self, key):
        return self.cache.get((self.project_id, key))

    def set(self, key, value):
        if not isinstance(value, str):
            raise ValueError("Value must be a string")
        self.cache[self.project_id, key] = value

    def has(self, key):
        return (self.project_id, key) in self.cache

    @property
    def label_config(self):
        return self.get("label_config")

    @property
    def model_version(self):
        return self.get("model_version")


class FirstGeneration:
    """What 1.0.9's LabelStudioMLBase does with its arguments."""

    TRAIN_EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "PROJECT_UPDATED")

    def __init__(self, label_config=None, train_output=None, **kwargs):
        self.label_config = label_config
        self.train_output = train_output or {}
        self.hostname = kwargs.get("hostname", "")


def load_model(base, monkeypatch):
    package, module = types.ModuleType("label_studio_ml"), types.ModuleType("label_studio_ml.model")
    module.LabelStudioMLBase = base
    monkeypatch.setitem(sys.modules, "label_studio_ml", package)
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", module)
    spec = importlib.util.spec_from_file_location("model_under_test", ROOT / "model.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def services(tmp_path):
    return make_services(tmp_path, images=FakeImages({"1.png": picture()}))


@pytest.fixture
def second(monkeypatch, services):
    loaded = load_model(SecondGeneration, monkeypatch)
    monkeypatch.setattr(loaded, "shared_backend", lambda: services.backend)
    return loaded.LearningBackend


@pytest.fixture
def first(monkeypatch, services):
    loaded = load_model(FirstGeneration, monkeypatch)
    monkeypatch.setattr(loaded, "shared_backend", lambda: services.backend)
    return loaded.LearningBackend


# -- 2.x's own server: label_studio_ml/api.py ---------------------------------------------------------------


def test_setup_of_2x(second, services):
    model = second(project_id="7", label_config=RECTANGLES)
    model.set_extra_params('{"epochs": 3}')
    assert model.get("model_version") == "not-trained"
    assert model.extra_params == {"epochs": 3}
    add_version(services, "7", "v1")
    assert second(project_id="7", label_config=RECTANGLES).get("model_version") == "v1"


def test_predict_of_2x(second, services):
    add_version(services, "7", "v1")
    model = second(project_id="7", label_config=RECTANGLES)
    tasks = [{"id": 1, "data": {"image": "1.png"}}, {"id": 2, "data": {"image": "nope.png"}}]
    for context in ({}, None):
        results = model.predict(tasks, context=context, login=None, password=None)
        assert results[0]["model_version"] == "v1"
        assert results[1] == []
        json.dumps(results)


def test_interactive_predict_of_2x(second, services):
    model = second(project_id="7", label_config=RECTANGLES)
    [answer] = model.predict([{"id": 1, "data": {"image": "1.png"}}], context={"result": []})
    assert answer["result"] == []


def test_start_training_of_2x_only_queues(second, services):
    model = second("7", label_config=RECTANGLES)
    data = {"project": dict(PROJECT)}
    first_job = model.fit("START_TRAINING", data)
    assert services.queue.record(first_job["job"]).status == "queued"
    assert model.fit("START_TRAINING", data) == first_job
    json.dumps(first_job)
    assert services.train.inputs == []


def test_other_events_of_2x_are_hints(second, services):
    model = second("7", label_config=RECTANGLES)
    assert model.fit("ANNOTATION_CREATED", {"project": dict(PROJECT), "annotation": {}}) == {"status": "ok"}
    assert services.queue.jobs == {}


def test_what_was_trained_under_the_short_id_serves_the_long_one(second, services):
    second("7", label_config=RECTANGLES).fit("START_TRAINING", {"project": dict(PROJECT)})
    [job] = services.queue.jobs.values()
    assert job.project_key == services.projects.canonical(KEY) == services.projects.canonical("7")


def test_a_long_key_that_was_connected_first_is_found_by_the_short_one(second, services):
    services.projects.remember(KEY, label_config=RECTANGLES)
    add_version(services, KEY, "v9")
    assert second(project_id="7", label_config=RECTANGLES).get("model_version") == "v9"


def test_the_cache_of_2x_still_works_for_other_values(second):
    model = second(project_id="7", label_config=RECTANGLES)
    model.set("model_version", "9.9.9")
    model.set("note", 5)
    assert (model.get("model_version"), model.get("note"), model.has("note")) == ("not-trained", "5", True)
    assert model.label_config == RECTANGLES


# -- 1.0.9 --------------------------------------------------------------------------------------------------


def test_1_0_9_is_built_with_a_config_and_an_output(first, services):
    model = first(label_config=RECTANGLES, train_output={"job": "x"}, hostname="http://ls")
    assert model.label_config == RECTANGLES
    assert model.train_output == {"job": "x"}


def test_predict_of_1_0_9_reads_the_project_off_the_tasks(first, services):
    services.projects.remember(KEY, label_config=RECTANGLES)
    add_version(services, KEY, "v1")
    task = {"id": 1, "data": {"image": "1.png"}, "project": 7}
    model = first(label_config=RECTANGLES, train_output={})
    [answer] = model.predict([task], login=None, password=None, context=None)
    assert answer["model_version"] == "v1"


def test_fit_of_1_0_9_with_tasks(first, services, tmp_path):
    model = first(label_config=RECTANGLES)
    task = {**annotated(1, rectangle()), "project": 7}
    answer = model.fit(iter([task]), str(tmp_path), epochs=3)
    document = services.documents.read(services.queue.record(answer["job"]).payload_path)
    assert document["tasks"] == [task]


def test_fit_of_1_0_9_with_an_event(first, services):
    model = first(label_config=RECTANGLES)
    data = {"project": dict(PROJECT)}
    assert model.fit((), event="ANNOTATION_CREATED", data=data, job_id="1") == {"status": "ignored"}
    answer = model.fit((), event="START_TRAINING", data=data, job_id="1")
    assert services.queue.record(answer["job"]).project_key == KEY


def test_the_installed_generation_imports_and_takes_our_class():
    code = "import model; print([base.__module__ for base in model.LearningBackend.__mro__][1])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("label_studio_ml.model"), done.stderr


def test_without_label_studio_ml_the_line_to_install_it_is_shown(monkeypatch):
    for name in ("label_studio_ml", "label_studio_ml.model"):  # another test may have loaded both
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("model_without", ROOT / "model.py")
    with pytest.raises(ImportError, match="pip install --no-deps"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
