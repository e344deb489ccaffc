"""The order of usefulness in a real Label Studio: its sampling, its Data Manager and its next task follow it.

Every test goes on where the one before it ended; nothing is trained.
"""

from __future__ import annotations

from typing import Any

import pytest

from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from tests.e2e.projects import GeneratedProject, make_project

SEQUENTIAL, UNCERTAINTY = "Sequential sampling", "Uncertainty sampling"


@pytest.fixture(scope="module")
def project(label_studio: LabelStudio, service: ServiceProcess) -> GeneratedProject:
    """Two labelled pictures and four that are not, connected."""
    project = make_project(
        label_studio, shapes=("rectangle",), title="label next", annotated=2, unlabelled=4, seed=11
    )
    label_studio.connect(project.project_id, service.url)
    return project


@pytest.fixture(scope="module")
def address(service: ServiceProcess, project: GeneratedProject) -> str:
    """Where the project's order is asked for."""
    listed = service.get("/api/projects").json()["projects"]
    (key,) = [one["key"] for one in listed if one["id"] == project.project_id]
    return f"/api/projects/{key}/label-next"


def order_of(service: ServiceProcess, address: str) -> list[int]:
    return [one["task_id"] for one in service.get(address).json()["tasks"]]


def switch(service: ServiceProcess, address: str, *, is_on: bool) -> None:
    answer = service.put(f"{address}/switch", {"is_on": is_on})
    assert answer.status_code == 200, answer.text
    status = service.wait_for_job(answer.json()["job"], within_s=300)
    assert status["job_status"] == "finished", as_json(status)


def sampling_of(label_studio: LabelStudio, project: GeneratedProject) -> str:
    return str(label_studio.call("GET", f"/api/projects/{project.project_id}/")["sampling"])


def tabs_of(label_studio: LabelStudio, project: GeneratedProject) -> list[dict[str, Any]]:
    """Return the Data Manager's tabs that the switch made."""
    tabs = label_studio.call("GET", f"/api/dm/views/?project={project.project_id}")
    return [one for one in tabs if one["data"].get("title") == "Label next"]


def test_pictures_are_ranked_before_any_training(
    service: ServiceProcess, project: GeneratedProject, address: str
) -> None:
    answer = service.post(address, {})
    assert answer.status_code == 201, answer.text
    status = service.wait_for_job(answer.json()["job"], within_s=300)
    assert status["job_status"] == "finished", as_json(status)
    ranked = service.get(address).json()
    assert (ranked["is_on"], ranked["version"], ranked["labelled"]) == (False, None, 2)
    assert sorted(one["task_id"] for one in ranked["tasks"]) == project.unlabelled
    assert ranked["tasks"][0]["usefulness"] == 1.0
    assert all(one["why"] for one in ranked["tasks"])


def test_switched_on_label_studio_hands_out_the_most_useful_picture_first(
    label_studio: LabelStudio, service: ServiceProcess, project: GeneratedProject, address: str
) -> None:
    assert sampling_of(label_studio, project) == SEQUENTIAL
    switch(service, address, is_on=True)
    order = order_of(service, address)
    assert sampling_of(label_studio, project) == UNCERTAINTY
    (tab,) = tabs_of(label_studio, project)
    shown = label_studio.call(
        "GET", f"/api/tasks/?project={project.project_id}&view={tab['id']}&page=1&page_size=30"
    )
    assert [one["id"] for one in shown["tasks"]] == order
    for task_id in order[:2]:  # one after the other, as an annotator submits them
        offered = label_studio.call("GET", f"/api/projects/{project.project_id}/next")
        assert offered["id"] == task_id, (order, as_json(offered))
        label_studio.annotate(task_id, [])


def test_switched_off_label_studio_is_as_it_was(
    label_studio: LabelStudio, service: ServiceProcess, project: GeneratedProject, address: str
) -> None:
    switch(service, address, is_on=False)
    assert sampling_of(label_studio, project) == SEQUENTIAL
    assert tabs_of(label_studio, project) == []
    stored = [one for task_id in project.task_ids for one in label_studio.predictions(task_id)]
    assert [one for one in stored if one["model_version"] == "label-next"] == []
    assert label_studio.call("GET", f"/api/projects/{project.project_id}/")["model_version"] != "label-next"
    assert not service.get(address).json()["is_on"]
