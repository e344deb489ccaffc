from __future__ import annotations

from backend.core.versions.card import ChampionComparison, F1Pair, VersionCard
from backend.service.versions.learning_curve import project_curve


def card(version, images, measure=None, *, champion=None, f1=None, labels=("Cat",)):
    comparison = None if champion is None else ChampionComparison(champion, 6, F1Pair(*f1), 0.1)
    return VersionCard(
        version=version,
        labels=labels,
        metrics={} if measure is None else {"box_map50": measure},
        per_class={} if measure is None else {"Cat": {"objects": 25}},
        comparison=comparison,
        facts={"training_images": images},
    )


def test_the_main_measure_of_the_versions_makes_the_curve():
    curve = project_curve([card("v3", 80, 0.8), card("v2", 40, 0.72), card("v1", 20, 0.6)])
    assert (curve.measure, curve.images, curve.missing) == ("box mAP50", 80, "")
    assert [(one.version, one.point.images) for one in curve.points] == [("v1", 20), ("v2", 40), ("v3", 80)]
    assert curve.points[0].point.standard_error == 0.09
    assert [one.images for one in curve.ahead] == [105, 130, 180]
    assert curve.now.middle < curve.ahead[-1].middle
    assert (curve.drawn[0].images, curve.drawn[-1].images) == (20, 180)


def test_small_versions_that_held_nothing_back_are_known_by_the_comparisons():
    curve = project_curve(
        [
            card("v3", 30, 0.8, champion="v2", f1=(0.68, 0.75)),
            card("v2", 20, champion="v1", f1=(0.5, 0.66)),
            card("v1", 10),
        ]
    )
    assert curve.measure == "F1 on the same images"
    assert [(one.point.images, one.point.measure) for one in curve.points] == [
        (10, 0.5),
        (20, 0.66),
        (20, 0.68),
        (30, 0.75),
    ]


def test_too_few_versions_and_other_labels_make_no_curve_and_it_is_said_why():
    one = project_curve([card("v2", 40, 0.7), card("v1", 20, 0.6, labels=("Cat", "Dog"))])
    assert one.ahead == () and "so far there is one" in one.missing and len(one.points) == 1
    none = project_curve([])
    assert none.points == () and "so far there is none" in none.missing and none.images == 0
