from __future__ import annotations

import pytest

from backend.errors import QueueError
from backend.service.checks.images import STORAGES, storage_kind
from backend.service.projects.last_events import LastEvents
from backend.service.projects.projects import Projects
from tests.panel_fakes import (
    KEY,
    FakePanelLabelStudio,
    UnreachableLabelStudio,
    all_shapes,
    make_panel_services,
    publish_version,
)

URL = "http://127.0.0.1:9090"


@pytest.fixture
def label_studio():
    label_studio = FakePanelLabelStudio(3)
    label_studio.backends = [{"url": URL, "state": "CO", "model_version": "v1"}]
    label_studio.hooks = [{"url": f"{URL}/webhook", "is_active": True}]
    label_studio.model_version = "v1"
    return label_studio


def checks_of(services, key=KEY, before=lambda panel: None):
    services.settings.data_dir.mkdir(parents=True, exist_ok=True)
    panel = services.panel
    before(panel)
    return {check.check: check for check in panel.diagnosis.run(key)}


def test_a_healthy_chain_has_no_red_line(tmp_path, label_studio):
    services = make_panel_services(tmp_path, label_studio)
    publish_version(services, "v1")
    label_studio.create_annotation(1, all_shapes())
    checks = checks_of(services, before=lambda panel: panel.project_changed(KEY, by_event=True))
    assert {name: check.state for name, check in checks.items() if check.state != "ok"} == {}
    assert checks["image-upload"].found == "task 1: 640x480 pixels, as in Label Studio"


@pytest.mark.parametrize(
    ("breaks", "check", "state", "fix"),
    [
        ({"hooks": []}, "webhook", "failed", "SSRF_PROTECTION_ENABLED=false"),
        ({"backends": []}, "connected", "warning", "Settings > Model"),
        (
            {"backends": [{"url": URL, "state": "ER", "error_message": "401 no\nmore"}]},
            "connected",
            "failed",
            "user and password",
        ),
        ({"model_version": "my model"}, "version", "warning", "Predict All"),
        ({"label_config": "<View>"}, "config", "failed", "Labeling"),
        ({"known_tasks": []}, "images", "warning", "Import images"),
        (
            {"known_tasks": [{"id": 1, "data": {"image": "s3://bucket/none.png"}}]},
            "image-s3",
            "failed",
            "bucket",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_broken_link_has_its_fix(tmp_path, label_studio, breaks, check, state, fix):
    for name, value in breaks.items():
        setattr(label_studio, name, value)
    services = make_panel_services(tmp_path, label_studio)
    publish_version(services, "v1")
    found = checks_of(services)[check]
    assert found.state == state
    assert fix in (found.fix or "")


def test_an_image_of_another_size_than_was_drawn_on_is_named(tmp_path, label_studio):
    regions = [{**region, "original_width": 480, "original_height": 640} for region in all_shapes()]
    label_studio.create_annotation(2, regions)
    check = checks_of(make_panel_services(tmp_path, label_studio))["image-upload"]
    assert check.state == "failed" and "480x640" in check.found


def test_labels_that_were_not_learned_are_named(tmp_path, label_studio):
    services = make_panel_services(tmp_path, label_studio)
    publish_version(services, "v1", labels=["Cell", "Dust"])
    states = {item.name: item.state for item in checks_of(services)["labels"].items}
    assert states == {
        "Cell": "ok",
        "Debris": "warning",
        "Nucleus": "warning",
        "Tissue": "warning",
        "Dust": "skipped",
    }


def test_an_event_that_another_process_heard_counts(tmp_path, label_studio):
    services = make_panel_services(tmp_path, label_studio)
    assert checks_of(services)["webhook"].state == "warning"
    LastEvents(Projects(services.documents), lambda: services.now() - 600).note(KEY)
    services = make_panel_services(tmp_path, label_studio, documents=services.documents)
    check = checks_of(services)["webhook"]
    assert (check.state, check.found) == ("ok", "Events of this project arrive; the last one 10 minutes ago.")


@pytest.mark.parametrize(("refuses", "check"), [(False, "label_studio"), (True, "token")])
def test_without_label_studio_the_machine_is_still_checked(tmp_path, refuses, check):
    checks = checks_of(make_panel_services(tmp_path, UnreachableLabelStudio(refuses)))
    assert checks[check].state == "failed" and "LABEL_STUDIO_API_KEY" in checks[check].fix
    assert {"device", "disk", "queue"} <= set(checks)


def test_no_worker_and_no_redis_are_red(tmp_path, label_studio):
    services = make_panel_services(tmp_path, label_studio)
    services.queue.workers = 0
    assert checks_of(services, None)["queue"].state == "failed"
    services.queue.failure = QueueError("Redis is away")
    assert "Redis" in checks_of(services, None)["queue"].fix


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("/data/upload/1/a.png", "upload"),
        ("http://ls:8080/data/local-files/?d=a.png", "local-files"),
        ("s3://b/a.png", "s3"),
        ("gs://b/a.png", "gs"),
        ("azure-blob://b/a.png", "azure"),
        ("https://host/a.png", "http"),
        ("data:image/png;base64,AA", "data"),
    ],
)
def test_storage_kinds(reference, kind):
    assert storage_kind(reference) == kind
    assert kind in STORAGES
