"""Health has to answer within seconds of a start: nothing that takes seconds to import may be on that way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "timm", "label_studio_ml", "label_studio_sdk", "scipy", "pandas")


@pytest.mark.parametrize(
    "code",
    [
        "import _wsgi; assert _wsgi.app.test_client().get('/health').status_code == 200",
        "import _wsgi; c = _wsgi.app.test_client(); "
        "assert c.post('/setup', json={'project': '7.1', 'schema': '<View/>'}).status_code == 200",
        "import backend.cli, backend.supervisor, backend.worker",
    ],
    ids=["app and health", "setup", "command line"],
)
def test_nothing_heavy_is_imported(code, tmp_path):
    check = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env={"DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
