from __future__ import annotations

from pathlib import Path

import pytest

from backend.core.versions.card import VersionCard
from backend.service.versions.unseen import unseen_tasks
from tests.fakes.version_store import FakeVersionStore

KEY = "7.1763750000"

TRAINED_AT = 1_700_000_000.0
BEFORE, AFTER = "2023-11-14T20:00:00Z", "2023-11-15T08:00:00Z"


def card(**content):
    return VersionCard.from_json({"labels": ["Cell"], "created_at": TRAINED_AT, "params": {}, **content})


@pytest.fixture
def store(tmp_path):
    return FakeVersionStore(tmp_path)


def published(store, version, **content):
    store.publish(KEY, version, Path("/nonexistent"), card(**content), activate=True)
    return store.card(KEY, version)


def task(task_id, *made):
    return {
        "id": task_id,
        "annotations": [{"id": k, "created_at": moment, "result": []} for k, moment in enumerate(made)],
    }


def test_what_was_held_back_or_annotated_later_was_not_learned_from(store):
    tasks = [task(1, BEFORE), task(2, BEFORE), task(3, AFTER), task(4, BEFORE, AFTER), task(5)]
    assert unseen_tasks(store, KEY, card(held_out_tasks=[2]), tasks) == {2, 3}


def test_a_training_on_named_tasks_learned_from_no_others(store):
    tasks = [task(1, BEFORE), task(2, BEFORE)]
    assert unseen_tasks(store, KEY, card(params={"task_ids": [1]}), tasks) == {2}


def test_an_imported_version_that_does_not_say_when_it_was_made_has_seen_everything(store):
    assert unseen_tasks(store, KEY, card(created_at=None), [task(1, AFTER)]) == set()


def test_a_version_has_seen_what_the_version_had_that_it_started_from(store):
    tasks = [task(1, BEFORE), task(2, BEFORE), task(3, AFTER), task(4, BEFORE)]
    published(store, "v1", held_out_tasks=[2], params={"start_from": "scratch"})
    published(store, "v2", held_out_tasks=[1, 2, 4], params={"start_from": "v1"})
    v3 = published(store, "v3", held_out_tasks=[1, 2, 3], params={"start_from": "v2"})
    assert unseen_tasks(store, KEY, v3, tasks) == {2, 3}


def test_what_was_held_back_from_the_start_as_well_stays_so_when_its_card_is_gone(store):
    tasks = [task(1, BEFORE), task(2, BEFORE), task(3, AFTER)]
    params = {"start_from": "deleted"}
    v2 = published(store, "v2", held_out_tasks=[1], is_held_out_of_start=True, params=params)
    assert unseen_tasks(store, KEY, v2, tasks) == {1, 3}
    v3 = published(store, "v3", held_out_tasks=[3], params={"start_from": "v2"})
    assert unseen_tasks(store, KEY, v3, tasks) == {3}


@pytest.mark.parametrize(("trained_in", "unseen"), [(KEY, {1, 2}), ("7", {1, 2}), ("7.16", {2}), ("8", {2})])
def test_a_version_of_another_project_held_back_other_tasks(store, trained_in, unseen):
    version = card(held_out_tasks=[1], project_key=trained_in)
    assert unseen_tasks(store, KEY, version, [task(1, BEFORE), task(2, AFTER)]) == unseen


@pytest.mark.parametrize("start", ["v1", "current"], ids=["deleted", "of an early release"])
def test_of_a_start_that_nobody_knows_any_more_only_the_time_tells(store, start):
    v2 = published(store, "v2", held_out_tasks=[1], params={"start_from": start})
    assert unseen_tasks(store, KEY, v2, [task(1, BEFORE), task(2, AFTER)]) == {2}
