from __future__ import annotations

from backend.core.versions.card import VersionCard
from backend.service.second_look.unseen import unseen_tasks

TRAINED_AT = 1_700_000_000.0
BEFORE, AFTER = "2023-11-14T20:00:00Z", "2023-11-15T08:00:00Z"


def card(**content):
    return VersionCard.from_json({"labels": ["Cell"], "created_at": TRAINED_AT, "params": {}, **content})


def task(task_id, *made):
    return {
        "id": task_id,
        "annotations": [{"id": k, "created_at": moment, "result": []} for k, moment in enumerate(made)],
    }


def test_what_was_held_back_or_annotated_later_was_not_learned_from():
    tasks = [task(1, BEFORE), task(2, BEFORE), task(3, AFTER), task(4, BEFORE, AFTER), task(5)]
    assert unseen_tasks(card(held_out_tasks=[2]), tasks) == {2, 3}


def test_a_training_on_named_tasks_learned_from_no_others():
    tasks = [task(1, BEFORE), task(2, BEFORE)]
    assert unseen_tasks(card(params={"task_ids": [1]}), tasks) == {2}


def test_an_imported_version_that_does_not_say_when_it_was_made_has_seen_everything():
    assert unseen_tasks(card(created_at=None), [task(1, AFTER)]) == set()
