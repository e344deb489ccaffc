from __future__ import annotations

from dataclasses import replace

import pytest

from backend.core.labelstudio.own_writes import MARKS
from backend.errors import LabelStudioError
from backend.service.label_next.switch import TAB
from backend.service.label_next.switched import KeptSwitches
from tests.panel_fakes import KEY

UNCERTAINTY = "Uncertainty sampling"


@pytest.fixture
def trained(project):
    project.train()
    project.predict()
    return project


def turn(project, is_on, score="usefulness"):
    return project.rank(project.desk.switch.turn(KEY, is_on, score))


def test_on_sets_the_sampling_and_makes_a_tab_and_off_restores_both(trained):
    trained.label_studio.sampling = "Uniform sampling"
    turn(trained, True)
    assert trained.label_studio.sampling == UNCERTAINTY
    assert list(trained.label_studio.views.values()) == [TAB]
    assert trained.listed()["is_on"]
    turn(trained, False)
    assert trained.label_studio.sampling == "Uniform sampling" and trained.label_studio.views == {}
    assert not trained.listed()["is_on"]


def test_switching_on_twice_keeps_what_was_before(trained):
    turn(trained, True)
    turn(trained, True, "quality")
    assert len(trained.label_studio.views) == 1
    turn(trained, False)
    assert trained.label_studio.sampling == "Sequential sampling"


def test_a_refused_change_of_the_sampling_leaves_the_switch_off_and_no_tab(trained):
    def refuse(project_id, sampling):
        raise LabelStudioError("Label Studio does not answer")

    trained.label_studio.set_sampling = refuse
    with pytest.raises(LabelStudioError):
        turn(trained, True)
    assert not trained.listed()["is_on"] and trained.label_studio.views == {}
    del trained.label_studio.set_sampling
    turn(trained, True)
    assert trained.listed()["is_on"] and len(trained.label_studio.views) == 1


def test_a_sampling_that_somebody_changed_meanwhile_stays(trained):
    turn(trained, True)
    trained.label_studio.sampling = "Uniform sampling"
    turn(trained, False)
    assert trained.label_studio.sampling == "Uniform sampling"


def test_the_most_useful_task_has_the_lowest_score_and_regions_keep_theirs(trained):
    turn(trained, True)
    stored = trained.stored()
    unlabelled = [task_id for task_id in sorted(stored, key=stored.get) if task_id > 4]
    assert unlabelled == trained.order()
    assert stored[unlabelled[0]] == 0.0 and stored[unlabelled[-1]] == 1.0
    assert all(p["result"] == [{"id": "r", "score": 0.9}] for p in trained.label_studio.pushed)
    turn(trained, False)
    assert trained.stored()[7] == 0.25 and trained.stored()[8] == 0.75


def test_a_project_may_keep_the_quality_in_its_scores(trained):
    turn(trained, True, "quality")
    assert set(trained.stored().values()) == {0.75}
    turn(trained, True, "usefulness")
    assert len(set(trained.stored().values())) > 2
    turn(trained, True, "quality")
    assert trained.stored()[7] == 0.25 and trained.stored()[8] == 0.75


def test_before_any_training_empty_predictions_carry_the_order_until_a_version_serves(project):
    project.label_studio.model_version = "imported"
    turn(project, True)
    marks = project.stored(MARKS)
    assert sorted(marks, key=marks.get) == project.order()
    assert project.label_studio.model_version == MARKS
    project.train()
    project.predict()
    project.rank()
    assert project.stored(MARKS) == {} and project.label_studio.model_version == "imported"
    assert len(set(project.stored().values())) > 2


def test_off_before_any_training_removes_the_empty_predictions(project):
    turn(project, True)
    turn(project, False)
    assert project.label_studio.pushed == [] and project.label_studio.model_version == ""


def test_what_is_predicted_later_carries_the_order_too(trained):
    turn(trained, True)
    useful = trained.desk.rankings.useful(KEY)
    task_id = trained.order()[3]
    prediction = {"result": [], "score": 0.9, "model_version": "v1"}
    rescored = trained.desk.scores.rescored(KEY, task_id, prediction)
    assert rescored["score"] == round(1 - useful[task_id].usefulness, 4) != 0.9
    assert trained.desk.scores.rescored(KEY, 999, prediction) == prediction
    turn(trained, False)
    assert trained.desk.scores.rescored(KEY, task_id, prediction) == prediction


def bring_in_line(project, version, meanwhile):
    """Bring the stored scores in line while something happens between two of them."""
    ranking = project.desk.rankings.last(KEY)

    def goes_on():
        meanwhile()
        return True

    project.desk.scores.bring_in_line(KEY, project.label_studio, ranking, version, goes_on)


def test_switched_on_while_scores_are_still_given_back_it_stays_on(trained):
    turn(trained, True)
    trained.desk.switch.turn(KEY, False, "usefulness")
    bring_in_line(trained, "v1", lambda: trained.desk.switch.turn(KEY, True, "usefulness"))
    assert trained.listed()["is_on"] and len(trained.label_studio.views) == 1
    turn(trained, False)
    assert trained.stored()[7] == 0.25 and trained.label_studio.views == {}


def test_switched_on_while_empty_predictions_are_still_removed_it_stays_on(project, monkeypatch):
    turn(project, True)
    project.desk.switch.turn(KEY, False, "usefulness")
    remove = project.label_studio.delete_predictions

    def remove_while_switched_on(prediction_ids):
        project.desk.switch.turn(KEY, True, "usefulness")
        remove(prediction_ids)

    monkeypatch.setattr(project.label_studio, "delete_predictions", remove_while_switched_on)
    bring_in_line(project, None, lambda: None)
    assert project.listed()["is_on"] and len(project.label_studio.views) == 1


def test_what_another_process_switched_a_moment_ago_is_known(trained):
    assert not trained.listed()["is_on"]
    switches = KeptSwitches(trained.services.documents)
    switches.write(KEY, replace(switches.read(KEY), is_on=True, sampling_before="Uniform sampling"))
    trained.label_studio.sampling = UNCERTAINTY
    turn(trained, False)
    assert trained.label_studio.sampling == "Uniform sampling"
