"""A Label Studio that a reverse proxy puts below a path, `http://host/ls`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.pictures import draw_pictures
from harness.label_studio_server import LabelStudio, as_json
from harness.path_proxy import PathProxy
from harness.service_process import HOST, ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, make_project


@pytest.fixture
def proxy() -> Iterator[PathProxy]:
    with PathProxy("/ls") as running:
        yield running


@pytest.fixture
def label_studio_below(proxy: PathProxy, tmp_path: Path) -> Iterator[LabelStudio]:
    """A Label Studio of its own that is told to be at the proxy's address, and spoken to there."""
    server = LabelStudio(tmp_path / "label-studio", public_url=proxy.url)
    proxy.target = f"http://{HOST}:{server.port}"
    with server:
        yield server


def test_images_labels_predictions_and_events_go_below_the_path(
    label_studio_below: LabelStudio, proxy: PathProxy, tmp_path: Path
) -> None:
    label_studio = label_studio_below
    pictures = draw_pictures(8, seed=3)
    first = make_project(label_studio, shapes=["rectangle"], title="uploads", pictures=pictures, annotated=0)
    stored = [
        label_studio.call("GET", f"/api/tasks/{task_id}/")["data"]["image"] for task_id in first.task_ids
    ]
    bare = [reference.removeprefix("/ls") for reference in stored]
    references = [
        one for pair in zip(bare[::2], (f"/ls{name}" for name in bare[1::2]), strict=True) for one in pair
    ]
    project = make_project(
        label_studio,
        shapes=["rectangle"],
        title="below a path",
        annotated=6,
        pictures=pictures,
        references=references,
    )
    environment = {"LABEL_STUDIO_URL": proxy.url, "LABEL_STUDIO_API_KEY": label_studio.access_token}
    with ServiceProcess(tmp_path / "service", **environment) as service:
        ml_id = label_studio.connect(project.project_id, service.url, extra_params=QUICK_TRAINING)
        label_studio.start_training(ml_id)
        status = service.wait_for_job(service.training_of(project.project_id))
        assert status["job_status"] == "finished", as_json(status)
        assert status["counts"]["images"] == 6, as_json(status)

        label_studio.retrieve_predictions(project.project_id, project.unlabelled[:1])
        answer = service.post(f"/api/projects/{project.project_id}/predict-all", {})
        assert answer.status_code == 201, answer.text
        pushed = service.wait_for_job(answer.json()["job"])
        assert pushed["job_status"] == "finished", as_json(pushed)
        for task_id in project.unlabelled:
            versions = [one["model_version"] for one in label_studio.predictions(task_id)]
            assert versions == [status["model_version"]]
        links = service.get(f"/api/projects/{project.project_id}").json()
        assert links["label_studio_url"].startswith(f"{proxy.url}/projects/")
    assert proxy.refused == []
