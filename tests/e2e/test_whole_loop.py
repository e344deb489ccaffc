"""Labels in, a trained model, pre-annotations out: through a real Label Studio, for every kind of region."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, SHAPES, GeneratedProject, found_share

TYPES = {f"{shape}labels" for shape in SHAPES}


def test_job_says_what_was_learned_from(trained: tuple[GeneratedProject, dict]) -> None:
    project, status = trained
    assert status["progress"]["epoch"] <= status["progress"]["epochs"] == QUICK_TRAINING["epochs"]
    assert not status.get("error")
    told = as_json(status)
    assert "extra" in told.lower(), "the origin of the parameters is missing"
    assert project.annotated > 0


def test_every_task_has_one_prediction_of_the_new_version(
    label_studio: LabelStudio, trained: tuple[GeneratedProject, dict]
) -> None:
    project, status = trained
    for task_id in project.unlabelled:
        stored = label_studio.predictions(task_id)
        assert [p["model_version"] for p in stored] == [status["model_version"]]
        assert 0 <= stored[0]["score"] <= 1
        for region in stored[0]["result"]:
            assert {"id", "from_name", "to_name", "type", "value", "score"} <= set(region)
            assert (region["original_width"], region["original_height"]) == (480, 360)
            assert 0 <= region["score"] <= 1


def test_regions_lie_on_the_objects_in_every_shape(
    label_studio: LabelStudio, trained: tuple[GeneratedProject, dict]
) -> None:
    project, _ = trained
    shares, types = [], set()
    for task_id in project.unlabelled:
        regions = label_studio.predictions(task_id)[0]["result"]
        types |= {region["type"] for region in regions}
        shares.append(found_share(project.picture(task_id), regions))
    assert types == TYPES
    assert np.mean(shares) >= 0.5, shares


def test_retrieving_again_stores_nothing_twice(
    label_studio: LabelStudio, trained: tuple[GeneratedProject, dict]
) -> None:
    project, _ = trained
    label_studio.retrieve_predictions(project.project_id, project.unlabelled)
    assert [len(label_studio.predictions(task_id)) for task_id in project.unlabelled] == [1] * len(
        project.unlabelled
    )


def test_opening_a_task_twice_at_once_stores_one_prediction(
    label_studio: LabelStudio, trained: tuple[GeneratedProject, dict]
) -> None:
    project, _ = trained
    task_id = project.unlabelled[0]
    label_studio.data_manager_action("delete_tasks_predictions", project.project_id, [task_id])
    assert label_studio.predictions(task_id) == []
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(label_studio.open_task, [task_id, task_id]))
    assert len(label_studio.predictions(task_id)) == 1


def test_a_second_training_replaces_the_predictions_version(
    label_studio: LabelStudio, service: ServiceProcess, trained: tuple[GeneratedProject, dict]
) -> None:
    project, first = trained
    answer = service.post(
        "/train", {"project": str(project.project_id), "params": {**QUICK_TRAINING, "epochs": 1}}
    )
    assert answer.status_code == 201, answer.text
    second = service.wait_for_job(answer.json()["job"])
    assert second["job_status"] == "finished", as_json(second)
    assert second["model_version"] != first["model_version"]
    versions = service.get(f"/versions?project={project.project_id}").json()["versions"]
    assert {first["model_version"], second["model_version"]} <= set(versions)


def test_debug_log_holds_no_secret(
    label_studio: LabelStudio, service: ServiceProcess, trained: tuple[GeneratedProject, dict]
) -> None:
    log = service.log()
    assert len(log.splitlines()) > 20
    assert label_studio.access_token not in log
    assert label_studio.legacy_token not in log
    assert "Bearer ey" not in log
    assert label_studio.password not in log
