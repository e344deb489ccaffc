from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.versions.card import ChampionComparison, F1Pair, VersionCard
from backend.service.versions.comparison import compare_versions


def card(version, metrics=None, labels=("Cat", "Dog"), per_class=None, **params):
    return VersionCard(
        version, tuple(labels), metrics=metrics or {}, per_class=per_class or {}, params=params
    )


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (0.5, 0.6, "b is better than a"),
        (0.6, 0.5, "b is worse than a"),
        (0.5, 0.502, "b is about as good as a"),
    ],
)
def test_the_sentence_names_the_better_one(before, after, verdict):
    comparison = compare_versions(card("a", {"box_mAP": before}), card("b", {"box_mAP": after}))
    assert comparison.sentence.startswith(verdict)


def test_what_cannot_be_compared_is_said():
    other = compare_versions(card("a", {"box_mAP": 1}), card("b", {"box_mAP": 1}, labels=["Cat"]))
    assert "different labels" in other.sentence
    assert "not measured" in compare_versions(card("a"), card("b", {"box_mAP": 1})).sentence


def test_classes_metrics_and_parameters_are_set_side_by_side():
    before = card("a", {"loss": 2}, per_class={"Cat": {"ap": 0.4}}, epochs=5, task_ids=[1])
    after = card("b", {"loss": 1, "ap": 0.5}, per_class={"Cat": {"ap": 0.5}, "Dog": {"ap": 0.1}}, epochs=9)
    comparison = compare_versions(before, after)
    shown = comparison.as_json()
    assert shown["metrics"] == [
        {"name": "loss", "before": 2.0, "after": 1.0, "difference": -1.0},
        {"name": "ap", "before": None, "after": 0.5, "difference": None},
    ]
    cat, dog = shown["classes"]
    assert cat["metrics"][0]["difference"] == pytest.approx(0.1)
    assert dog["metrics"] == [{"name": "ap", "before": None, "after": 0.1, "difference": None}]
    assert shown["parameters"] == [{"name": "epochs", "before": 5, "after": 9}]


def test_the_comparison_on_the_same_images_goes_first():
    found = ChampionComparison("a", 20, F1Pair(0.6, 0.5), 0.97, {"Cat": F1Pair(0.7, 0.4)})
    after = replace(card("b", {"box_map": 0.9}), comparison=found)
    comparison = compare_versions(card("a", {"box_map": 0.1}), after)
    assert comparison.sentence == "b is worse than a: F1 on the same images 0.500 after 0.600."
    assert comparison.classes[0].metrics[0].difference == pytest.approx(-0.3)
    assert compare_versions(card("x", {"box_map": 0.1}), after).sentence.startswith("b is better than x")
