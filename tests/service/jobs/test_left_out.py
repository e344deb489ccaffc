from __future__ import annotations

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.unusable import REASONS
from backend.service.jobs.left_out import (
    LEARNED_ANYWAY,
    NEXT_MOVES,
    OF_TASKS_AND_IMAGES,
    explain_left_out,
    locate_left_out,
    nothing_to_learn,
)
from tests.fakes.tasks import RECTANGLES

CONFIG = parse_label_config(RECTANGLES)


@pytest.mark.parametrize("reason", sorted((REASONS.keys() | OF_TASKS_AND_IMAGES.keys()) - LEARNED_ANYWAY))
def test_every_reason_has_a_next_move(reason):
    assert NEXT_MOVES[reason].endswith(".")


def test_no_next_move_is_for_nothing():
    assert NEXT_MOVES.keys() <= REASONS.keys() | OF_TASKS_AND_IMAGES.keys()


def test_what_was_left_out_is_told_most_frequent_first_and_the_odd_last():
    told = explain_left_out({"zero_area": 1, "shared_id": 9, "unknown_label": 4, "of_next_year": 2})
    assert [(entry["reason"], entry["count"]) for entry in told] == [
        ("unknown_label", 4),
        ("of_next_year", 2),
        ("zero_area", 1),
        ("shared_id", 9),
    ]
    assert told[0]["meaning"] == "its label is not in the labeling config"
    assert told[1]["meaning"] == "of next year" and told[1]["next_move"] == ""
    assert [entry["is_learned"] for entry in told] == [False, False, False, True]


def test_the_first_tasks_of_each_reason_are_told_and_what_was_named_there():
    unknown = {("unknown_control", "old"): 2, ("task_without_image", "photo"): 1}
    tasks = {"unknown_control": range(1, 31), "task_without_image": (7,)}
    where = locate_left_out(tasks, unknown, CONFIG)
    control, image, old_job = explain_left_out(
        {"unknown_control": 40, "task_without_image": 2, "pixels": 1}, where
    )
    assert control["meaning"].endswith("not in the labeling config (old; the config has label)")
    assert (control["tasks"], control["tasks_count"]) == (list(range(1, 21)), 30)
    assert image["meaning"].endswith("looks for it (it has photo; the config looks for image)")
    assert (image["tasks"], old_job["tasks"], old_job["tasks_count"]) == ([7], [], 0)


def test_nothing_to_learn_says_what_how_often_why_and_the_next_move():
    unknown = {("unknown_label", "Car"): 3, ("unknown_label", "Bus"): 9, ("unknown_control", "old"): 1}
    message = nothing_to_learn({"unknown_label": 12, "pixels": 2, "unknown_control": 1}, unknown, CONFIG, 5)
    assert message == (
        "There is nothing to learn from: no region of 5 tasks could be used. "
        "12 × its label is not in the labeling config (Bus, Car; the config has Cat, Dog). "
        "Add the label to the labeling config, or correct the regions. "
        "2 × its coordinates are pixels, and Label Studio's are percent of the image. "
        "Divide by the image's width or height, multiply by 100, and import again. "
        "1 × its from_name or to_name is not in the labeling config (old; the config has label). "
        "Give the control tag its old name back, or correct the from_name of the results."
    )


def test_more_reasons_than_a_sentence_holds_are_counted():
    left_out = dict.fromkeys(("no_label", "prompt", "pixels", "zero_area", "broken_rle"), 1)
    assert nothing_to_learn(left_out, {}, CONFIG, 1).endswith("There are 2 more reasons; the job lists them.")


def test_many_unknown_names_are_cut():
    unknown = {("unknown_label", name): 1 for name in "abcde"}
    assert "(a, b, c, …; the config has" in nothing_to_learn({"unknown_label": 5}, unknown, CONFIG, 1)


def test_a_page_of_text_in_the_place_of_a_name_is_cut():
    unknown = {("unknown_choice", "word " * 20_000): 1, ("unknown_label", "word " * 20_000): 1}
    for entry in explain_left_out(
        {"unknown_choice": 1, "unknown_label": 1}, locate_left_out({}, unknown, CONFIG)
    ):
        assert "(word word" in entry["meaning"] and "…" in entry["meaning"]
        assert len(entry["meaning"]) < 300


@pytest.mark.parametrize("left_out", [{}, {"shared_id": 3}], ids=["nothing", "only odd"])
def test_tasks_without_regions_are_told_to_be_labelled(left_out):
    assert nothing_to_learn(left_out, {}, CONFIG, 2) == (
        "There is nothing to learn from: 2 tasks came without a region. Draw some and train again."
    )
