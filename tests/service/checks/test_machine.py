from __future__ import annotations

import pytest

from backend.service.checks.machine import MachineChecks
from backend.service.smart_tools.chosen_network import NetworkState
from tests.fake_queue import FakeQueue
from tests.fake_stores import FakeVersionStore


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
    checks = MachineChecks(FakeQueue(), FakeVersionStore(tmp_path), lambda: device, tmp_path, lambda: network)
    (check,) = [check for check in checks.run() if check.check == "smart_tools"]
    assert check.state == state and found in check.found
    assert (check.fix is None) if fix is None else (fix in check.fix)
