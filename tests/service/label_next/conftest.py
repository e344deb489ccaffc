from __future__ import annotations

import pytest

from tests.ranked import RankedProject


@pytest.fixture
def project(tmp_path):
    return RankedProject(tmp_path)
