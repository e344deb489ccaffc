from __future__ import annotations

import pytest

from backend.service.predicting.answer import PredictRequest, config_of
from tests.fakes.images import FakeImages
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.services import make_services
from tests.fakes.tasks import picture
from tests.web.described import DescribedClient

KEY = "7.1763750000"


class StubModel:
    """What model.LearningBackend does, without label-studio-ml."""

    def __init__(self, project_id, label_config, backend):
        self.project, self.config, self.backend = project_id, label_config, backend

    def predict(self, tasks, context=None, login=None, password=None, is_label_studio=False, **params):
        if context:
            key = self.backend.projects.canonical(self.project)
            config = config_of(self.backend.projects, key, self.config)
            access = self.backend.connections.image_access(key)
            task = tasks[0] if tasks else {}
            return [self.backend.smart_tools.answer(task, config, context, key, access)]
        request = PredictRequest(
            self.project, self.config, tasks, params, login, password, is_label_studio=is_label_studio
        )
        return self.backend.predictions.predict(request)


@pytest.fixture
def make_client(tmp_path):
    apps = []

    def make(**changes):
        images = FakeImages({f"{k}.png": picture() for k in range(1, 30)})
        services = make_services(tmp_path, **{"images": images, **changes})
        app = services.app(lambda: StubModel)
        apps.append(app)
        app.testing = False
        app.test_client_class = DescribedClient
        client = app.test_client()
        client.services = services
        return client

    yield make
    for app in apps:
        app.extensions["housekeeping"].stop()


@pytest.fixture
def client(make_client):
    return make_client(label_studio=FakeLabelStudio())
