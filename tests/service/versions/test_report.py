from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.evaluation.evaluation import Evaluation, ScoreBin, Size, Tally
from backend.core.versions.card import ChampionComparison, F1Pair, VersionCard
from backend.service.ports import ListedVersion
from backend.service.versions.report import version_before, version_report

EVALUATION = Evaluation(
    threshold=0.3,
    images=6,
    tallies={
        ("Cat", Size.SMALL): Tally(4, 2, 1),
        ("Cat", Size.LARGE): Tally(6, 8, 6),
        ("Dog", Size.LARGE): Tally(0, 1, 0),
    },
    confusion={("Cat", "Cat"): 7, ("Cat", "Dog"): 1, ("", "Cat"): 3},
    bins=(ScoreBin(0, 0.0, 0), ScoreBin(4, 0.75, 3)),
)
CARD = VersionCard(
    version="v2",
    labels=("Cat", "Dog", "Cow"),
    created_at=2000.0,
    metrics={"box_map50": 0.8},
    evaluation=EVALUATION,
    facts={"training_images": 40},
)


def test_a_report_counts_by_label_by_size_and_altogether():
    report = version_report(CARD)
    cat, dog, cow = report.by_label
    assert (cat.name, cat.drawn, cat.precision.value, cat.recall.value) == ("Cat", 10, 0.7, 0.7)
    assert (dog.precision.value, dog.recall.value, cow.recall.value) == (0.0, None, None)
    assert [row.name for row in report.by_size] == ["small", "medium", "large"]
    assert report.by_size[0].recall.value == 0.25 and report.total.found == 11
    assert [row.name for row in report.by_label_and_size] == ["Cat, small", "Cat, large", "Dog, large"]
    assert (report.learned_images, report.held_out_images, report.missing) == (40, 6, ())


def test_few_objects_make_a_share_less_sure():
    few, many = (
        version_report(replace(CARD, evaluation=Evaluation(0.3, 1, {("Cat", Size.SMALL): Tally(n, n, n)})))
        for n in (3, 300)
    )
    assert few.total.recall.value == many.total.recall.value == 1.0
    assert few.total.recall.low < 0.7 and many.total.recall.low > 0.99
    assert few.total.recall.high == pytest.approx(1.0)


def test_calibration_leaves_out_scores_that_nothing_has():
    [shown] = version_report(CARD).calibration
    assert (shown.low, shown.high, shown.count, shown.right) == (0.5, 1.0, 4, 0.75)


@pytest.mark.parametrize(
    ("changes", "said", "rows"),
    [
        ({"per_class": {"Cat": {"objects": 5, "recall": 0.6, "precision": 0.5}}}, "an earlier release", 1),
        ({"metrics": {"area_iou": 0.5}}, "finds no objects with scores", 0),
        ({"held_out_tasks": (), "facts": {}}, "No image was held back", 0),
    ],
)
def test_what_a_card_does_not_hold_is_said(changes, said, rows):
    old = replace(CARD, **{"evaluation": None, "held_out_tasks": (1, 2), **changes})
    report = version_report(old)
    assert len(report.missing) == 1 and said in report.missing[0]
    assert len(report.by_label) == rows and report.total is None and report.worst == ()


def test_what_changed_is_told_against_the_version_that_served_else_the_one_before():
    def listed(version, created_at):
        card = VersionCard(
            version=version, labels=CARD.labels, created_at=created_at, metrics={"box_map50": 0.5}
        )
        return ListedVersion(card, False, False)

    others = [
        listed("v3", 3000.0),
        ListedVersion(CARD, False, True),
        listed("v1", 1500.0),
        listed("v0", 1000.0),
    ]
    assert version_before(CARD, others).version == "v1"
    served = replace(CARD, comparison=ChampionComparison("v0", 6, F1Pair(0.5, 0.6), 0.1))
    assert version_before(served, others).version == "v0"
    assert version_before(others[3].card, others) is None
    report = version_report(CARD, others[2].card)
    assert report.before.sentence.startswith("v2 is better than v1")
    assert report.as_json()["before"]["metrics"][0]["difference"] == pytest.approx(0.3)
