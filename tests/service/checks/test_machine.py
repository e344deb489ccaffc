from __future__ import annotations

import pytest

from backend.service.checks.machine import MachineChecks
from backend.service.engine.named_network import NetworkState
from tests.fakes.queue import FakeQueue
from tests.fakes.version_store import FakeVersionStore


@pytest.mark.parametrize(
    ("network", "state", "found", "fix"),
    [
        (NetworkState(), "ok", "Our own network answers.", None),
        (
            NetworkState("SAM_MODEL a/b", licence="mit"),
            "ok",
            "SAM_MODEL a/b answers; licence of its weights: mit",
            None,
        ),
        (
            NetworkState("SAM_MODEL a/b", problem="the hub has no a/b"),
            "warning",
            "Our own network answers, not SAM_MODEL a/b: the hub has no a/b",
            "unset SAM_MODEL",
        ),
        (NetworkState("SAM_MODEL a/b"), "warning", "until SAM_MODEL a/b is downloaded", "Wait"),
    ],
)
def test_it_says_which_network_answers_the_smart_tools(tmp_path, network, state, found, fix):
    device = {"device": "cpu", "total_bytes": None, "free_bytes": None, "note": ""}
    checks = MachineChecks(
        FakeQueue(), FakeVersionStore(tmp_path), lambda: device, tmp_path, lambda: network, NetworkState
    )
    (check,) = [check for check in checks.run() if check.check == "smart_tools"]
    assert check.state == state and found in check.found
    assert (check.fix is None) if fix is None else (fix in check.fix)


@pytest.mark.parametrize(
    ("network", "state", "found", "fix"),
    [
        (
            NetworkState("ZERO_SHOT_MODEL a/b", licence="mit"),
            "ok",
            "ZERO_SHOT_MODEL a/b predicts projects that have no trained version; licence of its weights: mit",
            None,
        ),
        (
            NetworkState("ZERO_SHOT_MODEL a/b", problem="the hub has no a/b"),
            "warning",
            "ZERO_SHOT_MODEL a/b cannot be used: the hub has no a/b",
            "unset ZERO_SHOT_MODEL",
        ),
        (NetworkState("ZERO_SHOT_MODEL a/b"), "warning", "is being downloaded", "Wait"),
    ],
)
def test_it_says_what_predicts_before_any_training(tmp_path, network, state, found, fix):
    device = {"device": "cpu", "total_bytes": None, "free_bytes": None, "note": ""}
    store = FakeVersionStore(tmp_path)
    checks = MachineChecks(FakeQueue(), store, lambda: device, tmp_path, NetworkState, lambda: network)
    (check,) = [check for check in checks.run() if check.check == "zero_shot"]
    assert check.state == state and found in check.found
    assert (check.fix is None) if fix is None else (fix in check.fix)
    without = MachineChecks(FakeQueue(), store, lambda: device, tmp_path, NetworkState, NetworkState)
    assert "zero_shot" not in {check.check for check in without.run()}
