"""The last line of a run of continuous integration, from pytest's reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / ".ci" / "summary.py"


def write(path: Path, tests: int, failures: int = 0, errors: int = 0, skipped: int = 0) -> None:
    counts = f'tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"'
    path.write_text(f"<testsuites><testsuite {counts}/></testsuites>")


def summed(folder: Path, *names: str) -> tuple[int, str]:
    command = [sys.executable, PROGRAM, "61", *(folder / name for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.strip()


def test_runs_are_added_up(tmp_path):
    write(tmp_path / "test.xml", 10, skipped=1)
    write(tmp_path / "e2e.xml", 5)
    assert summed(tmp_path, "test.xml", "e2e.xml") == (0, "14 passed, 1 skipped in 61s")


@pytest.mark.parametrize(
    ("again", "status", "line"),
    [
        (None, 1, "1 failed, 8 passed, 1 errors in 61s"),
        ({"tests": 2}, 0, "10 passed in 61s"),
        ({"tests": 2, "failures": 1}, 1, "1 failed, 9 passed in 61s"),
    ],
    ids=["no second try", "both pass then", "one fails again"],
)
def test_a_second_try_of_what_failed_counts_in_its_place(tmp_path, again, status, line):
    write(tmp_path / "test.xml", 10, failures=1, errors=1)
    if again is not None:
        write(tmp_path / "test-again.xml", **again)
    assert summed(tmp_path, "test.xml") == (status, line)


def test_a_run_that_never_began_is_an_error_and_one_without_tests_is_no_success(tmp_path):
    write(tmp_path / "test.xml", 3)
    assert summed(tmp_path, "test.xml", "e2e.xml") == (1, "3 passed, 1 errors in 61s")
    write(tmp_path / "test.xml", 0)
    assert summed(tmp_path, "test.xml") == (1, "0 passed in 61s")
