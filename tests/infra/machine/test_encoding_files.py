from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from backend.infra.machine.encoding_files import SharedEncodings

NAMES = [f"{number:08x}{number:032x}" for number in range(2000)]
ROOT = Path(__file__).resolve().parents[3]


def put_aged(shared, folder, name, content, age_s):
    shared.write(name, content)
    os.utime(folder / name, (time.time() - age_s,) * 2)


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_there_and_back(tmp_path):
    shared = SharedEncodings(tmp_path / "not" / "yet", 1000)
    assert shared.read(NAMES[0]) is None and NAMES[0] not in shared
    shared.write(NAMES[0], b"abc")
    assert shared.read(NAMES[0]) == b"abc" and NAMES[0] in shared
    shared.drop(NAMES[0])
    shared.drop(NAMES[0])
    assert NAMES[0] not in shared


def test_the_bound_holds_through_two_thousand_images(tmp_path):
    shared = SharedEncodings(tmp_path, 1000)
    most = 0
    for number, name in enumerate(NAMES):
        shared.write(name, b"x" * (20 + number % 50))
        if number % 10 == 0:
            most = max(most, shared.bytes_held())
    assert 900 < most <= 1000
    assert NAMES[-1] in shared and NAMES[0] not in shared


def test_what_was_used_stays_longer(tmp_path):
    shared = SharedEncodings(tmp_path, 300)
    for age, name in enumerate(NAMES[:3]):
        put_aged(shared, tmp_path, name, b"x" * 100, 1000 - age)
    shared.read(NAMES[0])
    shared.mark_used(NAMES[1])
    shared.mark_used("ff")
    shared.write(NAMES[3], b"x" * 100)
    assert [name in shared for name in NAMES[:4]] == [True, True, False, True]


def test_what_is_larger_than_the_bound_is_not_shared_and_drives_nothing_out(tmp_path):
    shared = SharedEncodings(tmp_path, 100)
    shared.write(NAMES[0], b"x" * 50)
    shared.write(NAMES[1], b"x" * 101)
    assert NAMES[0] in shared and NAMES[1] not in shared


def test_a_half_written_file_of_a_dead_process_goes_with_the_next_writing(tmp_path):
    (tmp_path / "left-over.part").write_bytes(b"x" * 90)
    shared = SharedEncodings(tmp_path, 100)
    shared.write(NAMES[0], b"x" * 80)
    assert NAMES[0] in shared and shared.bytes_held() == 80


def test_a_folder_that_cannot_be_used_costs_nothing_but_the_sharing(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    shared = SharedEncodings(tmp_path / "file", 100)
    with shared.turn(NAMES[0]):
        shared.write(NAMES[0], b"abc")
    assert shared.read(NAMES[0]) is None and shared.bytes_held() == 0
    assert "cannot be shared" in caplog.text


def test_threads_take_turns_too(tmp_path):
    shared, inside, most = SharedEncodings(tmp_path, 100), [], []

    def work():
        with shared.turn(NAMES[0]):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


MAKE_ONE = """
import sys, time
from pathlib import Path
from backend.infra.machine.encoding_files import SharedEncodings
from backend.service.smart_tools.encodings import EncodingCache, EncodingKey

class Value:
    bytes_held = 10

def make():
    with open(sys.argv[2], "a") as log:
        log.write("made\\n")
    time.sleep(0.3)
    return Value()

cache = EncodingCache(100, SharedEncodings(Path(sys.argv[1]), 1000), lambda v: b"value", lambda c: Value())
for number in range(3):
    cache.ask(EncodingKey("7.1", "v1", f"{number}.png"), make, lambda work: work()).result()
print(cache.made)
"""


def test_two_processes_that_want_the_same_images_at_once_make_each_once(tmp_path):
    log = tmp_path / "log"
    both = [run_python(MAKE_ONE, tmp_path / "shared", log) for _ in range(2)]
    made = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(made) == 3
    assert log.read_text().count("made") == 3


TAKE_AND_DIE = """
import os, sys
from pathlib import Path
from backend.infra.machine.encoding_files import SharedEncodings

with SharedEncodings(Path(sys.argv[1]), 1000).turn(sys.argv[2]):
    print("mine", flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_process_that_dies_in_its_turn_lets_go_of_it(tmp_path):
    process = run_python(TAKE_AND_DIE, tmp_path, NAMES[0])
    assert process.communicate(timeout=60)[0] == "mine\n"
    with SharedEncodings(tmp_path, 1000).turn(NAMES[0]):
        pass


WRITE_MANY = """
import sys
from pathlib import Path
from backend.infra.machine.encoding_files import SharedEncodings

shared, most = SharedEncodings(Path(sys.argv[1]), 1000), 0
for number in range(300):
    shared.write(f"{int(sys.argv[2]):08x}{number:032x}", b"x" * (20 + number % 50))
    most = max(most, shared.bytes_held())
print(most)
"""


def test_two_processes_that_write_at_once_keep_the_bound_together(tmp_path):
    both = [run_python(WRITE_MANY, tmp_path, number) for number in range(2)]
    assert all(int(process.communicate(timeout=60)[0]) <= 1000 for process in both)
