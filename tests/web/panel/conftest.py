from __future__ import annotations

import pytest

from tests.panel_fakes import KEY, FakePanelLabelStudio, all_shapes, make_panel_services
from tests.web.described import DescribedClient

BASE = f"/api/projects/{KEY}"


@pytest.fixture
def label_studio():
    return FakePanelLabelStudio()


@pytest.fixture
def services(tmp_path, label_studio):
    return make_panel_services(tmp_path, label_studio)


@pytest.fixture
def client(services):
    return client_of(services)


def client_of(services):
    app = services.app(lambda: None)
    app.testing = False
    app.test_client_class = DescribedClient
    return app.test_client()


def push(label_studio, task_id, version="v1", **changes):
    prediction = {"task": task_id, "result": all_shapes(), "score": 0.6, "model_version": version, **changes}
    label_studio.import_predictions(7, [prediction])
