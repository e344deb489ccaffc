from __future__ import annotations

import sys
import types

import pytest

from backend.service.jobs.memory import memory_use


def fake_torch(*, has_gpu, reserved):
    cuda = types.SimpleNamespace(
        is_initialized=lambda: has_gpu,
        device_count=lambda: len(reserved),
        memory_reserved=lambda device: reserved[device],
    )
    return types.SimpleNamespace(cuda=cuda)


def test_this_process_holds_memory(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    held = memory_use()
    assert held.resident_bytes > 1_000_000
    assert held.device_bytes == 0


@pytest.mark.parametrize(("has_gpu", "expected"), [(True, 700), (False, 0)])
def test_what_torch_holds_of_all_gpus_is_added_up(monkeypatch, has_gpu, expected):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(has_gpu=has_gpu, reserved=(500, 200)))
    assert memory_use().device_bytes == expected
