"""Which PyTorch `make setup` installs: run with a pip, a graphics card and an index that are not real."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKED = dict(re.findall(r"^(torch\w*)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
TORCH = LOCKED["torch"]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# Notes what pip is asked to do, and answers as an index and an environment would.
FAKE_PYTHON = """#!/usr/bin/env bash
echo "$*" >> "$PIP_CALLS"
case "$*" in
  *" show torch"*) if [ -n "$INSTALLED" ]; then echo "Version: $INSTALLED"; else exit 1; fi ;;
  *" index versions torch "*) if [ -n "$OFFERED" ]; then echo "torch ($OFFERED)"; else exit 1; fi ;;
  *"$BREAKS"*) exit 1 ;;
esac
"""


class Machine:
    """A folder with a fake pip, a fake nvidia-smi and a fake /dev, in which `make setup` runs."""

    def __init__(self, folder: Path) -> None:
        self.venv, self.programs, self.devices = folder / "venv", folder / "programs", folder / "dev"
        self.calls_path = folder / "calls"
        for path in (self.venv / "bin", self.programs, self.devices):
            path.mkdir(parents=True)
        self._write(self.venv / "bin" / "python", FAKE_PYTHON)
        self.answer_of_nvidia_smi("echo 'NVIDIA-SMI has failed' ; exit 9")

    def answer_of_nvidia_smi(self, program: str) -> None:
        self._write(self.programs / "nvidia-smi", f"#!/bin/sh\n{program}\n")

    def setup(
        self, *arguments: str, installed: str = "", offered: str = "", breaks: str = "nothing"
    ) -> tuple[list[str], str]:
        """Run it; return what pip was asked for and what the user reads."""
        done = self.run(arguments, {"INSTALLED": installed, "OFFERED": offered, "BREAKS": breaks})
        assert done.returncode == 0, done.stderr
        return self.calls(), done.stdout

    def run(
        self, arguments: tuple[str, ...], variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        self.calls_path.write_text("")
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "PIP_CALLS": str(self.calls_path),
            "DEVICE_FOLDER": str(self.devices),
            **variables,
        }
        command = ["make", "-s", "setup", f"VENV={self.venv}", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def calls(self) -> list[str]:
        return [
            line.partition("-m pip ")[2].replace("--disable-pip-version-check ", "").removeprefix("-q ")
            for line in self.calls_path.read_text().splitlines()
        ]

    @staticmethod
    def _write(path: Path, program: str) -> None:
        path.write_text(program)
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def _installs_of_torch(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("install") and "torch==" in call]


def _everything_else(calls: list[str]) -> int:
    """Return the place of the call that installs the service with its dependencies."""
    return next(place for place, call in enumerate(calls) if " -e .[" in call)


def test_without_a_gpu_the_cpu_build_comes_first_and_from_its_index_alone(machine: Machine) -> None:
    calls, said = machine.setup(offered=f"{TORCH}+cpu")
    (install,) = _installs_of_torch(calls)
    assert f"torch=={TORCH}+cpu" in install and f"torchvision=={LOCKED['torchvision']}" in install
    assert "--no-deps" in install and f"--index-url {CPU_INDEX}" in install
    assert calls.index(install) < _everything_else(calls)
    assert "without gigabytes of CUDA" in said


@pytest.mark.parametrize("sign", ["nvidia-smi", "device file"])
def test_a_gpu_gets_the_build_of_pips_own_index(machine: Machine, sign: str) -> None:
    if sign == "nvidia-smi":
        machine.answer_of_nvidia_smi("echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'")
    else:
        (machine.devices / "nvidia0").touch()
    calls, said = machine.setup(offered=f"{TORCH}+cpu")
    assert not _installs_of_torch(calls)
    assert not any(call.startswith("index") for call in calls)
    assert "PyTorch with CUDA" in said


def test_an_index_out_of_reach_is_told_in_one_line_and_pip_goes_on(machine: Machine) -> None:
    calls, said = machine.setup(offered="")
    assert not _installs_of_torch(calls)
    assert _everything_else(calls) > 0
    (line,) = [line for line in said.splitlines() if "CPU build" in line]
    assert CPU_INDEX in line and "CUDA" in line
    (asked,) = [call for call in calls if call.startswith("index")]
    assert "--timeout 5 --retries 0" in asked


def test_an_index_without_the_locked_version_counts_as_none(machine: Machine) -> None:
    calls, said = machine.setup(offered="1.0.0+cpu")
    assert not _installs_of_torch(calls) and "no CPU build of PyTorch" in said


def test_a_download_that_breaks_is_no_end(machine: Machine) -> None:
    calls, said = machine.setup(offered=f"{TORCH}+cpu", breaks=f"torch=={TORCH}+cpu")
    assert _everything_else(calls) > 0 and "no CPU build of PyTorch" in said


def test_torch_cpu_overrides_a_gpu(machine: Machine) -> None:
    (machine.devices / "nvidia0").touch()
    calls, _ = machine.setup("TORCH=cpu", offered=f"{TORCH}+cpu")
    assert len(_installs_of_torch(calls)) == 1


def test_torch_cuda_overrides_that_there_is_no_gpu_and_takes_a_cpu_build_away(machine: Machine) -> None:
    calls, _ = machine.setup("TORCH=cuda", offered=f"{TORCH}+cpu", installed=f"{TORCH}+cpu")
    assert "uninstall -q -y torch torchvision" in calls and not _installs_of_torch(calls)


@pytest.mark.parametrize("installed", [TORCH, f"{TORCH}+cpu"])
def test_what_is_installed_stays_unless_the_user_says_otherwise(machine: Machine, installed: str) -> None:
    calls, _ = machine.setup(offered=f"{TORCH}+cpu", installed=installed)
    assert not _installs_of_torch(calls) and not any(call.startswith("uninstall") for call in calls)


def test_another_torch_is_installed_although_the_stamp_is_fresh(machine: Machine) -> None:
    machine.setup(offered=f"{TORCH}+cpu")
    assert machine.setup(installed=f"{TORCH}+cpu")[0] == []
    calls, _ = machine.setup("TORCH=cuda", installed=f"{TORCH}+cpu")
    assert "uninstall -q -y torch torchvision" in calls
    calls, _ = machine.setup("TORCH=cpu", offered=f"{TORCH}+cpu", installed=TORCH)
    assert len(_installs_of_torch(calls)) == 1


def test_another_word_is_refused(machine: Machine) -> None:
    done = machine.run(("TORCH=rocm",), {"INSTALLED": "", "OFFERED": "", "BREAKS": "nothing"})
    assert done.returncode != 0
    assert "TORCH must be cpu or cuda" in done.stderr
    assert not (machine.venv / ".installed").exists()
