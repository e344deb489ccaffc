from __future__ import annotations

from dataclasses import replace

import pytest

from backend.errors import LabelStudioAuthError, LabelStudioError, LabelStudioGone
from backend.service.jobs.jobs import RunningJob
from backend.worker import run_job
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.lease import FakeLease
from tests.fakes.services import add_version, make_services
from tests.fakes.tasks import RECTANGLES, picture

KEY = "7.1763750000"
CREDENTIALS = {"label_studio_url": "http://ls", "label_studio_api_key": "k"}


@pytest.fixture
def label_studio():
    return FakeLabelStudio([{"id": 1, "data": {"image": "1.png"}}])


@pytest.fixture
def services(tmp_path, label_studio):
    images = FakeImages({"1.png": picture()})
    services = make_services(tmp_path, label_studio=label_studio, images=images, settings=CREDENTIALS)
    add_version(services, KEY)
    services.projects.remember(KEY, label_config=RECTANGLES, hostname="http://ls")
    return services


def start(services, job_id):
    services.queue.jobs[job_id] = replace(services.queue.jobs[job_id], status="started")
    return RunningJob(services.queue, services.queue.record(job_id), FakeLease())


@pytest.mark.parametrize("kind", ["train", "predict"])
def test_a_project_that_is_gone_is_retired_at_the_next_fetch(services, label_studio, kind):
    train = services.backend.trainings.request(KEY, label_config=RECTANGLES)
    predict = services.backend.background.predict_project(KEY)
    waiting = services.backend.background.predict_project(KEY, [1])
    label_studio.is_gone = True
    with pytest.raises(LabelStudioGone):
        run_job(
            services.handlers,
            services.backend.retirement,
            start(services, train if kind == "train" else predict),
        )
    assert services.projects.is_deleted(KEY)
    assert services.versions.current(KEY) is None
    assert services.store.list(KEY), "versions are kept for a grace time"
    assert services.queue.record(waiting).status == "stopped"
    assert services.projects.connection(KEY).hostname is None


def test_gone_at_the_push_retires_too(services, label_studio):
    job = start(services, services.backend.background.predict_project(KEY))

    def vanish(project_id, predictions):
        label_studio.is_gone = True
        raise LabelStudioGone("404")

    label_studio.import_predictions = vanish
    with pytest.raises(LabelStudioGone):
        run_job(services.handlers, services.backend.retirement, job)
    assert services.projects.is_deleted(KEY)


@pytest.mark.parametrize("answer", [None, LabelStudioError("502"), LabelStudioAuthError("401")])
def test_a_404_for_something_else_retires_nothing(services, label_studio, answer):
    export, asked = LabelStudioGone("no such export"), [answer] if answer else []

    def refuse(project_id):
        label_studio.failures = list(asked)
        raise export

    label_studio.export_annotated = refuse
    with pytest.raises(LabelStudioGone):
        run_job(
            services.handlers,
            services.backend.retirement,
            start(services, services.backend.trainings.request(KEY, label_config=RECTANGLES)),
        )
    assert not services.projects.is_deleted(KEY)
    assert services.versions.current(KEY) == "v1"


def test_a_project_that_is_heard_of_again_serves_again(services, label_studio):
    label_studio.is_gone = True
    with pytest.raises(LabelStudioGone):
        run_job(
            services.handlers,
            services.backend.retirement,
            start(services, services.backend.trainings.request(KEY, label_config=RECTANGLES)),
        )
    services.projects.remember(KEY, label_config=RECTANGLES)  # as /setup does
    services.versions.announce(KEY)
    assert services.versions.current(KEY) == "v1"
