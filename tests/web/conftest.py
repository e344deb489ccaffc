from __future__ import annotations

import pytest

from backend.service.predicting.answer import PredictRequest, config_of, predict_tasks
from backend.web.app import create_app
from tests.fakes import FakeImages, FakeLabelStudio, make_services, picture
from tests.web.described import DescribedClient

KEY = "7.1763750000"


class StubModel:
    """What model.LearningBackend does, without label-studio-ml."""

    def __init__(self, project_id, label_config, services):
        self.project, self.config, self.services = project_id, label_config, services

    def predict(self, tasks, context=None, login=None, password=None, is_label_studio=False, **params):
        if context:
            key = self.services.projects.canonical(self.project)
            config = config_of(self.services, key, self.config)
            access = self.services.image_access(key)
            return [self.services.interactive.answer(tasks[0], config, context, key, access)]
        request = PredictRequest(
            self.project, self.config, tasks, params, login, password, is_label_studio=is_label_studio
        )
        return predict_tasks(self.services, request)


@pytest.fixture
def make_client(tmp_path):
    def make(**changes):
        images = FakeImages({f"{k}.png": picture() for k in range(1, 30)})
        services = make_services(tmp_path, **{"images": images, **changes})
        app = create_app(services, lambda: StubModel)
        app.testing = False
        app.test_client_class = DescribedClient
        client = app.test_client()
        client.services = services
        return client

    return make


@pytest.fixture
def client(make_client):
    return make_client(label_studio=FakeLabelStudio())
