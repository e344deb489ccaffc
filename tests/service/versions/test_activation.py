from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.core.answers.options import Chances, Question
from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.labelstudio.label_config import parse_label_config
from backend.service.projects.documents import ProjectSettings
from backend.service.versions.activation import LEAST_HELD_OUT, decide_activation, judge
from backend.service.versions.counting import Thing
from backend.training.inputs import TrainingSample
from backend.training.judging.holdout import split_by_task
from backend.training.parameters import TrainingParams
from tests.fakes.predictor import FakePredictor
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, picture

KEY = "7.1"
LABELS = ("Cat", "Dog")


def sample(task_id, label=0):
    """A task whose one object lies where FakePredictor finds one of each label."""
    target = TrainingTarget(
        size=ImageSize(40, 30),
        boxes_xyxy_px=np.array([[0, 0, 20, 15]], np.float32),
        label_indices=np.array([label], np.int64),
        masks=(None,),
    )
    return TrainingSample(task_id, picture, target)


SAMPLES = [sample(k) for k in range(400)]
TASKS = [{"id": k, "annotations": [{"id": k, "result": []}]} for k in range(400)]
HELD_OUT = split_by_task(range(400))[1]


@pytest.fixture
def services(tmp_path):
    return make_services(tmp_path)


def decide(services, tmp_path, samples=SAMPLES, labels=LABELS, config=RECTANGLES):
    folder = tmp_path / "challenger"
    folder.mkdir(exist_ok=True)
    return decide_activation(
        services.models,
        services.batching,
        KEY,
        folder,
        samples,
        labels,
        parse_label_config(config),
        TrainingParams(),
        held_out=HELD_OUT,
        tasks=TASKS,
        takes_newest=services.projects.settings(KEY).activation == "newest",
    )


def add_champion(services, **card):
    add_version(services, KEY, **{"label_config": RECTANGLES, "held_out_tasks": HELD_OUT, **card})


def test_the_first_version_serves(services, tmp_path):
    assert decide(services, tmp_path).activate


def test_an_equal_version_serves_with_figures(services, tmp_path):
    add_champion(services)
    decision = decide(services, tmp_path)
    assert decision.activate
    assert decision.comparison.images >= LEAST_HELD_OUT
    assert decision.comparison.f1.champion == decision.comparison.f1.challenger
    assert set(decision.comparison.f1_by_label) == set(LABELS)


def test_a_worse_version_waits_and_says_why(services, tmp_path):
    add_champion(services)
    blind = FakePredictor(labels=LABELS)
    blind._find = lambda image, threshold: FakePredictor(labels=LABELS)._find(image, 0.99)
    services.versions.predictor(KEY)
    services.versions._load = lambda folder: blind
    decision = decide(services, tmp_path)
    assert not decision.activate
    assert "worse" in decision.reason
    assert decision.comparison.f1.challenger < decision.comparison.f1.champion


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"labels": ["Cat"]}, "labels have changed"),
        ({"label_config": RECTANGLES.replace("RectangleLabels", "EllipseLabels")}, "control tags"),
        ({"label_config": None}, "control tags"),
        ({"held_out_tasks": [1, 2, 3]}, "images were held back from both"),
        ({"held_out_tasks": []}, "20 are needed"),
    ],
    ids=["labels", "tags", "no config", "few in common", "none held out"],
)
def test_what_cannot_be_compared_serves(services, tmp_path, card, words):
    add_champion(services, **card)
    decision = decide(services, tmp_path)
    assert decision.activate
    assert words in decision.reason
    assert decision.comparison is None


@pytest.mark.parametrize("is_held_out_of_start", [True, False])
def test_images_that_the_champions_own_start_learned_from_are_not_compared(
    services, tmp_path, is_held_out_of_start
):
    add_version(services, KEY, version="v0", label_config=RECTANGLES, held_out_tasks=[])  # of twelve images
    params = {"start_from": "v0"}
    add_champion(services, version="v1", params=params, is_held_out_of_start=is_held_out_of_start)
    decision = decide(services, tmp_path)
    assert (decision.comparison is not None) == is_held_out_of_start
    assert is_held_out_of_start or "0 images were held back" in decision.reason


def test_an_imported_champions_task_numbers_are_those_of_another_project(services, tmp_path):
    add_champion(services, project_key="7.2")
    assert "0 images were held back" in decide(services, tmp_path).reason


def test_always_newest(services, tmp_path):
    add_champion(services)
    services.projects.save_settings(KEY, ProjectSettings(activation="newest"))
    decision = decide(services, tmp_path)
    assert decision.activate
    assert "newest" in decision.reason


def counts(hits, predicted, drawn, images=40):
    return np.tile(np.array([[hits, predicted, drawn]], float), (images, 1, 1))


def test_a_difference_within_chance_serves():
    rng = np.random.default_rng(1)
    before = np.stack([counts(h, 2, 2, 1)[0] for h in rng.integers(0, 3, 40)])
    after = np.stack([counts(h, 2, 2, 1)[0] for h in rng.integers(0, 3, 40)])
    after[0, 0, 0] = 0
    assert judge(before, after, [Thing("objects", "Cat")], "v1").activate


def test_a_clear_loss_waits():
    decision = judge(counts(2, 2, 2), counts(1, 2, 2), [Thing("objects", "Cat")], "v1")
    assert not decision.activate
    assert decision.comparison.share_of_draws_worse == 1.0


def test_nothing_drawn_and_nothing_found_is_no_loss():
    assert judge(counts(0, 0, 0), counts(0, 0, 0), [Thing("objects", "Cat")], "v1").activate


def test_each_kind_of_thing_counts_alike_however_many_of_it_there_are():
    things = [Thing("objects", "Cat"), Thing("light", "light: dark")]
    before = np.concatenate([counts(90, 100, 100), counts(1, 1, 1)], axis=1)
    after = np.concatenate([counts(91, 100, 100), counts(0, 1, 1)], axis=1)
    decision = judge(before, after, things, "v1")
    assert not decision.activate
    assert decision.comparison.f1.champion == 0.95
    assert decision.comparison.f1_by_kind["light"].challenger == 0
    assert judge(before[:, :1], after[:, :1], things[:1], "v1").activate


def test_areas_and_objects_are_not_compared(services, tmp_path):
    add_champion(services, architecture={"heads": ["areas"]})
    decision = decide(services, tmp_path)
    assert decision.activate and "painted areas" in decision.reason


class Turning(FakePredictor):
    """Finds what FakePredictor finds, as rectangles that are turned by so many degrees."""

    def __init__(self, degrees):
        super().__init__(labels=LABELS)
        self._degrees = degrees

    def _find(self, image, confidence_threshold):
        found = super()._find(image, confidence_threshold)
        rows = np.tile(np.array([10, 7.5, 20, 4, self._degrees], np.float32), (len(found), 1))
        return replace(found, turned_boxes_px=rows)


def test_where_a_version_finds_turned_boxes_both_are_compared_by_them(services, tmp_path):
    drawn = np.array([[10, 7.5, 20, 4, 35]], np.float32)
    samples = [replace(one, target=replace(one.target, turned_boxes_px=drawn)) for one in SAMPLES]
    add_champion(services)
    services.versions.predictor(KEY)
    services.versions._load = lambda folder: Turning(35)
    decision = decide(services, tmp_path, samples)
    # The champion's box is the one around the object, and overlaps it by a quarter.
    assert decision.activate
    assert decision.comparison.f1_by_label["Cat"].champion == 0.0
    assert decision.comparison.f1_by_label["Cat"].challenger > 0.5


CHOICES = """<View><Image name="image" value="$image"/>
  <Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"""


class Chooser(FakePredictor):
    """Says of every image that it is a cat, with this chance."""

    def __init__(self, chance):
        super().__init__(labels=())
        self._chance = chance

    def _find(self, image, confidence_threshold):
        asked = parse_label_config(CHOICES).asked["choices"]["kind"]
        chances = Chances(Question.from_json(asked), (self._chance, 1 - self._chance))
        found = super()._find(image, confidence_threshold)
        return replace(found, extras={"choices": {"kind": chances}})


def test_versions_of_choices_are_compared_by_their_choices(services, tmp_path):
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    target = TrainingTarget(ImageSize(40, 30), boxes, labels, (), extras={"choices": {"kind": [0]}})
    samples = [replace(one, target=target) for one in SAMPLES]
    add_champion(services, label_config=CHOICES, labels=[])
    services.versions._load = lambda folder: Chooser(0.9)
    services.versions.predictor(KEY)
    services.versions._load = lambda folder: Chooser(0.1)
    decision = decide(services, tmp_path, samples, labels=(), config=CHOICES)
    assert not decision.activate
    assert decision.comparison.f1_by_label["kind: cat"].champion == 1.0
    assert decision.comparison.f1_by_label["kind: cat"].challenger == 0.0
