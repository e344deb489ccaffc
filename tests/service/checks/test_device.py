from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from backend.service.checks.device import probe_device

GIB = 1024**3


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """16 GiB, 10 of them available; no container, torch not loaded."""
    (tmp_path / "meminfo").write_text(
        "MemTotal:       16777216 kB\nMemFree: 100 kB\nMemAvailable:   10485760 kB\nHugePages_Total:  0\n"
    )
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return tmp_path


def limit(folder, most, used, files=0):
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")


def test_the_memory_of_the_machine(machine):
    found = probe_device(machine, machine)
    assert (found["total_bytes"], found["free_bytes"]) == (16 * GIB, 10 * GIB)
    assert found["device"].startswith("CPU, ")
    assert "GPU" in found["note"]


@pytest.mark.parametrize(
    ("most", "used", "files", "expected"),
    [
        (4 * GIB, 3 * GIB, 0, (4 * GIB, 1 * GIB)),
        (4 * GIB, 4 * GIB, 2 * GIB, (4 * GIB, 2 * GIB)),
        (15 * GIB, 1 * GIB, 0, (15 * GIB, 10 * GIB)),
        (64 * GIB, 1 * GIB, 0, (16 * GIB, 10 * GIB)),
        ("max", 1 * GIB, 0, (16 * GIB, 10 * GIB)),
    ],
    ids=["limited", "files count as free", "machine is fuller", "limit above the machine", "no limit"],
)
def test_the_limit_of_a_container_counts(machine, most, used, files, expected):
    limit(machine, most, used, files)
    found = probe_device(machine, machine)
    assert (found["total_bytes"], found["free_bytes"]) == expected


def test_a_system_that_does_not_say_is_no_error(tmp_path):
    found = probe_device(tmp_path / "none", tmp_path / "none")
    assert (found["total_bytes"], found["free_bytes"]) == (None, None)


def test_the_gpu_is_shown_where_there_is_one(machine, monkeypatch):
    cuda = SimpleNamespace(
        is_available=lambda: True, mem_get_info=lambda: (3 * GIB, 8 * GIB), get_device_name=lambda number: "H"
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert probe_device(machine, machine) == {
        "device": "H",
        "total_bytes": 8 * GIB,
        "free_bytes": 3 * GIB,
        "note": None,
    }


def test_a_loaded_torch_without_gpu_leaves_no_doubt(machine, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    )
    assert probe_device(machine, machine)["note"] is None
