from __future__ import annotations

import pytest

from tests.accepted import AcceptanceProject


@pytest.fixture
def project(tmp_path):
    return AcceptanceProject(tmp_path)


@pytest.fixture
def counted(project):
    project.count()
    return project
