"""One Label Studio, one service and one browser for all end-to-end tests: each takes long to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, SHAPES, GeneratedProject, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder: it needs a real Label Studio, and minutes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def local_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder whose files Label Studio may serve."""
    return tmp_path_factory.mktemp("local-files")


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory, local_files: Path) -> Iterator[LabelStudio]:
    """A Label Studio with stock token rules (legacy tokens refused)."""
    with LabelStudio(tmp_path_factory.mktemp("label-studio"), local_files_root=local_files) as server:
        yield server


@pytest.fixture(scope="session")
def service(label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Our service, given the address of Label Studio and a personal access token."""
    process = ServiceProcess(
        tmp_path_factory.mktemp("service") / "data",
        LABEL_STUDIO_URL=label_studio.url,
        LABEL_STUDIO_API_KEY=label_studio.access_token,
        LOG_LEVEL="DEBUG",
    )
    with process:
        yield process


@pytest.fixture(scope="session")
def trained(label_studio: LabelStudio, service: ServiceProcess) -> tuple[GeneratedProject, dict]:
    """A project with all four shapes, connected, trained by the button, predicted; and its job."""
    project = make_project(label_studio, shapes=SHAPES, title="all shapes", unlabelled=6)
    ml_id = label_studio.connect(project.project_id, service.url, extra_params=QUICK_TRAINING)
    before = label_studio.model(ml_id)
    assert (before["state"], before["model_version"]) == ("CO", "not-trained")
    label_studio.retrieve_predictions(project.project_id, project.unlabelled)
    assert not any(label_studio.predictions(task_id) for task_id in project.unlabelled)

    label_studio.start_training(ml_id)
    status = service.wait_for_job(service.training_of(project.project_id))
    assert status["job_status"] == "finished", as_json(status)
    assert label_studio.model(ml_id)["model_version"] == status["model_version"]
    label_studio.retrieve_predictions(project.project_id, project.unlabelled)
    return project, status


@pytest.fixture
def editor_page(browser: Browser, label_studio: LabelStudio) -> Iterator[Page]:
    """A page logged in to Label Studio that loads nothing from other hosts."""
    context = browser.new_context(viewport={"width": 1500, "height": 1100})
    context.add_cookies(label_studio.browser_cookies())  # type: ignore[arg-type]
    context.route(
        "**/*",
        lambda route: (
            route.continue_()
            if route.request.url.startswith((label_studio.url, "data:", "blob:"))
            else route.abort()
        ),
    )
    yield context.new_page()
    context.close()
