from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from backend.infra.machine.waiting_room import MachineWaitingRoom

ROOT = Path(__file__).resolve().parents[3]
STAY = """
import sys
from pathlib import Path
from backend.infra.machine.waiting_room import MachineWaitingRoom

with MachineWaitingRoom(Path(sys.argv[1])).entered():
    print("in", flush=True)
    sys.stdin.readline()
"""


def somebody_waiting_at(path):
    """Start a process that waits there until it reads a line; return it once it does."""
    other = subprocess.Popen(
        [sys.executable, "-c", STAY, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "in\n"
    return other


def test_nobody_is_there_at_first(tmp_path):
    room = MachineWaitingRoom(tmp_path / "not" / "yet" / "waiting")
    assert room.seconds_empty() >= 0
    time.sleep(0.05)
    assert room.seconds_empty() > 0.03


def test_the_room_is_empty_once_the_last_one_has_left(tmp_path):
    room = MachineWaitingRoom(tmp_path / "waiting")
    with room.entered():
        with room.entered():
            assert room.seconds_empty() == 0.0
        assert room.seconds_empty() == 0.0
    time.sleep(0.05)
    assert room.seconds_empty() > 0.03
    with room.entered():
        assert room.seconds_empty() == 0.0


def test_one_who_waits_in_another_process_counts(tmp_path):
    room = MachineWaitingRoom(tmp_path / "waiting")
    other = somebody_waiting_at(tmp_path / "waiting")
    assert room.seconds_empty() == 0.0
    with room.entered():  # two processes may wait at once
        pass
    assert room.seconds_empty() == 0.0
    other.communicate("\n", timeout=60)
    time.sleep(0.05)
    assert room.seconds_empty() > 0.03


def test_a_process_that_was_killed_waits_no_more(tmp_path):
    other = somebody_waiting_at(tmp_path / "waiting")
    other.kill()
    other.communicate(timeout=60)
    time.sleep(0.05)
    assert MachineWaitingRoom(tmp_path / "waiting").seconds_empty() > 0.03


def test_without_a_usable_file_this_process_is_what_is_known(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    room = MachineWaitingRoom(tmp_path / "file" / "waiting")
    assert room.seconds_empty() > 1000
    with room.entered():
        assert room.seconds_empty() == 0.0
    assert room.seconds_empty() < 1000
