from __future__ import annotations

import pytest

from tests.looked_at import LookedProject


@pytest.fixture
def project(tmp_path):
    return LookedProject(tmp_path)


@pytest.fixture
def looked(project):
    project.look_as_before()
    return project
