"""What every WaitingRoom does: the one that web processes of a machine share, and the fake of the tests."""

from __future__ import annotations

import time

import pytest

from backend.infra.machine.waiting_room import MachineWaitingRoom
from tests.fakes.waiting_room import FakeWaitingRoom


@pytest.fixture(params=["machine", "fake"])
def room(request, tmp_path):
    return FakeWaitingRoom() if request.param == "fake" else MachineWaitingRoom(tmp_path / "room" / "waiting")


def test_it_is_not_empty_while_anybody_waits(room):
    with room.entered():
        assert room.seconds_empty() == 0
        with room.entered():
            assert room.seconds_empty() == 0
        assert room.seconds_empty() == 0
    time.sleep(0.02)
    assert room.seconds_empty() > 0


def test_who_leaves_with_an_error_is_gone_too(room):
    with pytest.raises(ZeroDivisionError), room.entered():
        raise ZeroDivisionError
    time.sleep(0.02)
    assert room.seconds_empty() > 0
