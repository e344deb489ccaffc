"""What `make audit` makes of pip-audit's findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / ".ci" / "audit.py"
FINE = {"name": "flask", "version": "3.1.3", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited"}
FIXED = {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}
UNFIXED = {"name": "y", "version": "2", "vulns": [{"id": "PYSEC-2", "fix_versions": [], "aliases": []}]}


def judge(text):
    done = subprocess.run([sys.executable, PROGRAM], input=text, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([FINE, SKIPPED], 0, ["audited 1 of 2", "0 to be updated"]),
        (
            [FINE, FIXED, UNFIXED],
            1,
            ["x 1: PYSEC-1, fixed in 1.1", "y 2: PYSEC-2, no fixed release yet", "1 to be"],
        ),
        ([FINE, UNFIXED], 0, ["PYSEC-2"]),
        ([SKIPPED, SKIPPED], 0, ["NOT AUDITED", "none of the 2"]),
    ],
    ids=["nothing", "a fixed one", "an unfixed one", "nothing could be looked up"],
)
def test_only_what_can_be_mended_fails(found, status, words):
    got, text = judge(json.dumps({"dependencies": found, "fixes": []}))
    assert got == status
    assert all(word in text for word in words), text


@pytest.mark.parametrize("text", ["", "connection refused", "[]", "{}"])
def test_a_database_out_of_reach_is_told_and_fails_nothing(text):
    got, said = judge(text)
    assert got == 0 and "NOT AUDITED" in said
