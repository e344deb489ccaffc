from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from backend.errors import VersionError
from backend.service.engine.named_network import NamedNetwork, NetworkState
from backend.service.smart_tools.segmenters import SMART_TOOLS, LoadedNetwork

LOADED = LoadedNetwork("its weights", lambda image: np.zeros((1, 1, 1), np.float16), "a segmenter", "mit")


def test_one_on_this_machine_is_there_after_the_warm_up(caplog):
    chosen = NamedNetwork("SAM_MODEL /here", lambda: LOADED, SMART_TOOLS, is_local=True)
    assert chosen.state == NetworkState("SAM_MODEL /here")
    with caplog.at_level("INFO"):
        chosen.warm_up()
    assert chosen.loaded() is LOADED
    assert chosen.state == NetworkState("SAM_MODEL /here", licence="mit")
    assert "SAM_MODEL /here" in caplog.text and "mit" in caplog.text


def test_nobody_waits_for_one_that_has_to_be_downloaded_and_it_is_loaded_once():
    may_load, loads = threading.Event(), []

    def load() -> LoadedNetwork:
        loads.append(1)
        assert may_load.wait(30)
        return LOADED

    chosen = NamedNetwork("SAM_MODEL a/b", load, SMART_TOOLS, is_local=False)
    chosen.warm_up()
    assert chosen.loaded() is None and chosen.state == NetworkState("SAM_MODEL a/b")
    may_load.set()
    until = time.monotonic() + 10
    while chosen.loaded() is None and time.monotonic() < until:
        time.sleep(0.01)
    chosen.warm_up()
    assert chosen.loaded() is LOADED and loads == [1]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (VersionError("it has no model.safetensors"), "it has no model.safetensors"),
        (MemoryError("7 GB"), "loading it failed with MemoryError: 7 GB"),
    ],
)
def test_one_that_cannot_be_loaded_is_given_up_with_the_reason(caplog, error, problem):
    loads = []

    def load() -> LoadedNetwork:
        loads.append(1)
        raise error

    chosen = NamedNetwork("SAM_MODEL a/b", load, SMART_TOOLS, is_local=True)
    chosen.warm_up()
    assert chosen.loaded() is None and loads == [1]
    assert chosen.state == NetworkState("SAM_MODEL a/b", problem=problem)
    assert f"our own network answers the smart tools, not SAM_MODEL a/b: {problem}" in caplog.text
