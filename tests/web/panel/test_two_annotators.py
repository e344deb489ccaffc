"""A team of two who annotate the same pictures, each wrong about one object in twenty, through HTTP."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from tests.accepted import ANNOTATED, COUNT, AcceptanceProject
from tests.looked_at import LABELS, sound_result
from tests.web.panel.conftest import BASE, client_of

ERROR_RATE = 0.05
ANNOTATORS = (11, 12)


def drawn_by(annotator, task_id):
    """Return what somebody draws: one object in twenty is left out, has the other label or is moved."""
    rng = np.random.default_rng(1000 * annotator + task_id)
    result = []
    for number, sound in enumerate(copy.deepcopy(sound_result(task_id))):
        region = {**sound, "id": f"{annotator}-{task_id}-{number}"}
        if rng.random() < ERROR_RATE:
            mistake = rng.integers(3)
            if mistake == 0:
                continue
            if mistake == 1:
                [label] = region["value"]["rectanglelabels"]
                region["value"]["rectanglelabels"] = [LABELS[1 - LABELS.index(label)]]
            else:
                region["value"]["x"] += 0.4 * region["value"]["width"]
        result.append(region)
    return result


class Team(AcceptanceProject):
    """The project of `tests.accepted`, whose labelled tasks have an annotation of each of two people."""

    def __init__(self, folder):
        super().__init__(folder)
        self.label_studio.annotations_by_task.clear()
        for task_id in range(1, ANNOTATED + 1):
            for annotator in ANNOTATORS:
                self.label_studio.create_annotation(
                    task_id, drawn_by(annotator, task_id), completed_by=annotator
                )
        self.client = client_of(self.services)

    def finish(self, answer):
        assert answer.status_code == 201, answer.json
        outcome = self.run(answer.json["job"])
        assert outcome.status == "finished"
        return outcome

    def annotations(self, task_id):
        return {one["completed_by"]: one["result"] for one in self.label_studio.annotations(task_id)}


@pytest.fixture
def team(tmp_path):
    return Team(tmp_path)


def test_a_training_counts_where_they_disagree_and_learns_from_every_task(team):
    answer = team.client.post("/train", json={"project": 7, "params": {"epochs": 1}})
    details = team.finish(answer).report.as_json()
    assert details["counts"]["images"] == ANNOTATED
    assert 0 < details["disputed_tasks_count"] <= ANNOTATED


def test_a_finding_is_taken_in_the_annotation_that_counts_and_nobody_elses(team):
    team.finish(team.client.post(f"{BASE}/second-look", json={"images": "unseen"}))
    listed = team.client.get(f"{BASE}/second-look").json
    assert listed["images"] == ANNOTATED
    found = next(one for one in listed["findings"] if one["can_be_taken"])
    before = team.annotations(found["task_id"])
    address = f"{BASE}/second-look/{found['finding_id']}"
    assert team.client.post(f"{address}/take").status_code == 200
    after = team.annotations(found["task_id"])
    changed = [who for who in ANNOTATORS if after[who] != before[who]]
    assert len(changed) == 1
    assert team.client.post(f"{address}/undo").status_code == 200
    assert team.annotations(found["task_id"]) == before


def test_what_is_accepted_goes_to_tasks_of_nobody_and_is_undone_as_a_whole(team):
    before = {task_id: team.annotations(task_id) for task_id in range(1, ANNOTATED + 1)}
    team.finish(team.client.post(f"{BASE}/acceptance/count"))
    shown = team.client.get(f"{BASE}/acceptance?precision=0.8").json["survey"]
    assert shown["tasks"] == COUNT - ANNOTATED and shown["tasks_accepted"] > 0
    team.finish(team.client.post(f"{BASE}/acceptance/accept", json={"precision": 0.8}))
    assert len(team.accepted_tasks()) == shown["tasks_accepted"]
    [batch] = team.client.get(f"{BASE}/acceptance").json["batches"]
    team.finish(team.client.post(f"{BASE}/acceptance/batches/{batch['batch_id']}/undo"))
    assert team.accepted_tasks() == set()
    assert {task_id: team.annotations(task_id) for task_id in before} == before


def test_the_ledger_counts_what_each_of_them_did_with_the_same_prediction(team):
    task_id = COUNT
    proposed = sound_result(task_id)
    team.label_studio.import_predictions(7, [{"task": task_id, "result": proposed, "model_version": "v1"}])
    kept = [{**one, "origin": "prediction"} for one in proposed]
    prediction_id = team.label_studio.predictions(task_id)[0]["id"]
    for annotator, result in zip(ANNOTATORS, (kept, kept[1:]), strict=True):
        team.label_studio.create_annotation(
            task_id, result, completed_by=annotator, parent_prediction=prediction_id
        )
    told = team.client.post(f"{BASE}/ledger", json={}).json
    assert told["annotations"] == 2
    assert (told["acts"]["kept"], told["acts"]["deleted"]) == (2 * len(kept) - 1, 1)
