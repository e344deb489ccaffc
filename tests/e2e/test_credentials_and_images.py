"""Every kind of credential and every place an image may lie, against a real Label Studio."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from demo.pictures import draw_pictures
from harness.label_studio_server import LabelStudio, as_json
from harness.service_process import ServiceProcess
from tests.e2e.projects import QUICK_TRAINING, make_project

ONE_EPOCH = {**QUICK_TRAINING, "epochs": 1}
EXIF_ORIENTATION = 0x0112


@pytest.fixture
def service_without_key(label_studio: LabelStudio, tmp_path: Path) -> Iterator[ServiceProcess]:
    """Our service knowing nothing of Label Studio but what /setup brings."""
    with ServiceProcess(tmp_path / "data") as process:
        yield process


def test_legacy_token_of_setup_is_used_where_it_is_allowed(
    label_studio: LabelStudio, service_without_key: ServiceProcess
) -> None:
    label_studio.allow_legacy_tokens(True)
    try:
        project = make_project(
            label_studio, shapes=["rectangle"], title="legacy token", annotated=4, unlabelled=1
        )
        ml_id = label_studio.connect(project.project_id, service_without_key.url, extra_params=ONE_EPOCH)
        label_studio.start_training(ml_id)
        job_id = service_without_key.training_of(project.project_id)
        status = service_without_key.wait_for_job(job_id)
        assert status["job_status"] == "finished", as_json(status)
    finally:
        label_studio.allow_legacy_tokens(False)


def test_refused_token_is_explained_in_the_job(
    label_studio: LabelStudio, service_without_key: ServiceProcess
) -> None:
    project = make_project(
        label_studio, shapes=["rectangle"], title="refused token", annotated=2, unlabelled=0
    )
    label_studio.connect(project.project_id, service_without_key.url, extra_params=ONE_EPOCH)
    answer = service_without_key.post("/train", {"project": str(project.project_id)})
    if answer.status_code == 201:
        status = service_without_key.wait_for_job(answer.json()["job"])
        assert status["job_status"] == "failed", as_json(status)
        message = status["error"]
    else:
        message = answer.text
    assert "LABEL_STUDIO_API_KEY" in message, message


def test_local_files_and_turned_photographs(
    label_studio: LabelStudio, service: ServiceProcess, local_files: Path
) -> None:
    pictures = draw_pictures(6, seed=5)
    folder = local_files / "pictures"
    folder.mkdir(exist_ok=True)
    names = [f"straße {index}.jpg" for index in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        # Stored on its side with the orientation tag that turns it back, as telephones do.
        image = Image.fromarray(picture.rgb).transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = 6
        image.save(folder / name, exif=exif, quality=92)
    project = make_project(
        label_studio,
        shapes=["brush"],
        title="local files",
        annotated=4,
        pictures=pictures,
        references=[f"/data/local-files/?d=pictures/{name}" for name in names],
    )
    label_studio.add_local_storage(project.project_id, folder)
    ml_id = label_studio.connect(project.project_id, service.url, extra_params=ONE_EPOCH)
    label_studio.start_training(ml_id)
    status = service.wait_for_job(service.training_of(project.project_id))
    assert status["job_status"] == "finished", as_json(status)

    label_studio.retrieve_predictions(project.project_id, project.unlabelled)
    for task_id in project.unlabelled:
        (stored,) = label_studio.predictions(task_id)
        sizes = {(region["original_width"], region["original_height"]) for region in stored["result"]}
        assert sizes <= {(480, 360)}


def test_unreadable_image_costs_its_own_task_only(label_studio: LabelStudio, service: ServiceProcess) -> None:
    project = make_project(
        label_studio, shapes=["rectangle"], title="broken image", annotated=4, unlabelled=2
    )
    gone, text = label_studio.import_tasks(
        project.project_id,
        [
            {"data": {"image": f"/data/upload/{project.project_id}/00000000-gone.jpg"}},
            {
                "data": {
                    "image": label_studio.upload(
                        project.project_id, io.BytesIO(b"no image").getvalue(), "text.jpg"
                    )
                }
            },
        ],
    )
    ml_id = label_studio.connect(project.project_id, service.url, extra_params=ONE_EPOCH)
    label_studio.start_training(ml_id)
    assert service.wait_for_job(service.training_of(project.project_id))["job_status"] == "finished"
    label_studio.retrieve_predictions(project.project_id, [*project.unlabelled, gone, text])
    assert [len(label_studio.predictions(task_id)) for task_id in project.unlabelled] == [1, 1]
    assert [label_studio.predictions(task_id) for task_id in (gone, text)] == [[], []]
    assert str(gone) in service.log()
