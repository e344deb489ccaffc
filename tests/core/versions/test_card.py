from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.core.evaluation.evaluation import Evaluation, Size, Tally
from backend.core.versions.card import ChampionComparison, F1Pair, LearnedCounts, VersionCard, parse_card
from backend.errors import VersionError

RELEASES = Path(__file__).parents[2] / "data"
WRITTEN = sorted(RELEASES.glob("release_*/data/projects/*/versions/*/card.json"))

WHOLE = VersionCard(
    version="v2",
    labels=("Cat", "Dog"),
    project_key="7.1763750000",
    job_id="train-1",
    created_at=1.8e9,
    imported_at=1.9e9,
    imported_from="v1",
    label_config="<View/>",
    labels_digest="ab12",
    params={"backbone": "resnet18", "epochs": 9, "task_ids": [1, 2]},
    origins={"epochs": "request"},
    counts=LearnedCounts(9, 8, 1, 20, 12, {"Cat": 15, "Dog": 5}),
    unusable={"zero_area": 2},
    held_out_tasks=(3, 5),
    metrics={"box_map50": 0.8},
    per_class={"Cat": {"f1": 0.9}},
    warnings=("few images",),
    activation_reason="it is not worse",
    evaluation=Evaluation(0.3, 2, {("Cat", Size.SMALL): Tally(3, 2, 1)}, {("Cat", "Dog"): 1}),
    comparison=ChampionComparison("v1", 20, F1Pair(0.5, 0.6), 0.1, {"Cat": F1Pair(0.5, 0.7)}),
    facts={"architecture": {"backbone": "resnet18"}, "stopped_early_by": None, "seed": 0},
)


def test_what_is_written_is_read():
    written = json.loads(json.dumps(WHOLE.as_json()))
    assert VersionCard.from_json(written) == WHOLE
    assert written["comparison"]["f1_challenger"] == 0.6
    assert written["stopped_early_by"] is None


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.parts[-4])
def test_a_card_of_release_0_1_keeps_its_form(path):
    content = json.loads(path.read_text())
    card = parse_card(path.read_bytes())
    assert card.as_json() == content
    assert (card.backbone, card.labels) == ("test_efficientnet", ("Red", "Blue"))
    assert card.counts.regions_by_label == {"Red": 24, "Blue": 24}
    assert card.learned_masks is content["enable_segmentation"]


@pytest.mark.parametrize(
    "content",
    [
        {"backbone": "resnet18"},
        {"backbone": "resnet18", "params": None},
        {"architecture": {"backbone": "resnet18"}},
        {"params": {"backbone": "resnet18"}, "architecture": {"backbone": "resnet50"}},
    ],
    ids=["beside the parameters", "with no parameters", "in the network alone", "today"],
)
def test_the_backbone_is_found_wherever_a_format_has_it(content):
    card = VersionCard.from_json(content)
    assert card.backbone == "resnet18"
    assert card.as_json()["params"]["backbone"] == "resnet18"
    assert "backbone" not in card.facts


@pytest.mark.parametrize(
    ("counts", "images", "regions"),
    [
        ({"tasks": 4, "objects": 9}, 4, 9),
        ({"tasks": 5, "images": 4, "regions": 9}, 4, 9),
        ({"regions_by_label": {"Cat": 1}}, 0, 0),
    ],
    ids=["tasks and objects", "today", "labels alone"],
)
def test_counts_of_every_format(counts, images, regions):
    found = VersionCard.from_json({"counts": counts}).counts
    assert (found.images, found.regions) == (images, regions)


def test_a_card_that_says_little_is_read_and_says_as_little():
    card = VersionCard.from_json({"version": "v1"})
    assert (card.backbone, card.counts, card.comparison, card.label_config) == (None, None, None, None)
    assert card.learned_masks
    assert not {"counts", "job_id", "comparison", "created_at"} & card.as_json().keys()


@pytest.mark.parametrize("moment", [1e308, -1.0, float("nan"), float("inf"), 10**30])
def test_a_moment_that_no_calendar_has_is_not_told(moment):
    card = VersionCard.from_json({"version": "v1", "created_at": moment, "imported_at": moment})
    assert card.created_at is None and card.imported_at is None


def test_a_metric_that_is_no_number_was_not_measured():
    card = VersionCard.from_json({"metrics": {"box_map": None, "recall": 0.5, "is_good": True}})
    assert card.metrics == {"recall": 0.5}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"params": [1]}',
        b'{"counts": 3}',
        b'{"comparison": {"champion": "v1"}}',
        b'{"labels": 3}',
    ],
)
def test_a_damaged_card_is_refused_by_name(content):
    with pytest.raises(VersionError, match=r"card\.json"):
        parse_card(content)


@pytest.mark.parametrize(
    ("architecture", "learned_boxes"),
    [
        ({"has_masks": True}, True),
        ({"heads": ["boxes", "masks"]}, True),
        ({"heads": ["areas"]}, False),
        ({}, True),
    ],
    ids=["first-release", "objects", "areas", "nothing-said"],
)
def test_a_card_tells_whether_boxes_were_learned(architecture, learned_boxes):
    assert VersionCard.from_json({"architecture": architecture}).learned_boxes is learned_boxes
