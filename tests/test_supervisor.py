from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.errors import QueueError, SettingsError
from backend.infra.queue.embedded_redis import EmbeddedRedis
from backend.settings import Settings
from backend.supervisor import MOST_WAIT_S, STEADY_AFTER_S, Child, KeptRedis, Supervisor, memory_settings
from harness.service_process import free_port

TOUCHES_MEMORY_TWICE = """
import resource

def pages_fetched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(100 * 1024**2)
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages_fetched()
print(pages_fetched())
"""


@pytest.mark.parametrize(
    ("libc", "is_set"),
    [(("glibc", "2.36"), True), (("glibc", "2.35"), True), (("glibc", "2.31"), False), (("", ""), False)],
)
def test_memory_is_kept_where_the_c_library_can(monkeypatch, libc, is_set):
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    assert bool(memory_settings()) is is_set


@pytest.mark.skipif(not memory_settings(), reason="another C library")
def test_memory_that_was_used_before_is_not_fetched_again():
    def pages_fetched(environ: dict[str, str]) -> int:
        command = [sys.executable, "-c", TOUCHES_MEMORY_TWICE]
        plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        return int(subprocess.run(command, env=plain | environ, capture_output=True, check=True).stdout)

    assert pages_fetched(memory_settings()) < 1000 < pages_fetched({})


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"BASIC_AUTH_USER": "a", "BASIC_AUTH_PASS": "b", "LABEL_STUDIO_API_KEY": "t"}, []),
        ({}, ["BASIC_AUTH_PASS"]),
        ({"LABEL_STUDIO_API_KEY": "t", "LABEL_STUDIO_URL": "http://ls:8080"}, ["BASIC_AUTH_PASS"]),
        ({"LABEL_STUDIO_API_KEY": "t"}, ["BASIC_AUTH_PASS", "set LABEL_STUDIO_URL"]),
    ],
    ids=["a password", "no password", "a token for one address", "a token for whoever connects"],
)
def test_who_runs_it_is_told_what_others_could_do(environ, said):
    warnings = Supervisor(Settings.from_env(environ), environ).warnings("http://127.0.0.1:9090")
    assert [word in warning for word, warning in zip(said, warnings, strict=True)] == [True] * len(said)


def test_a_data_folder_that_cannot_be_written_is_said_with_the_next_move(tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    supervisor = Supervisor(Settings.from_env({"DATA_DIR": str(tmp_path / "file" / "data")}), {})
    with pytest.raises(SettingsError, match="set another folder"):
        supervisor._check()


def test_a_second_serve_on_the_same_folder_is_refused_before_it_touches_anything(tmp_path):
    environ = {"DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    first, second = (Supervisor(Settings.from_env(environ), environ) for _ in range(2))
    first._check()
    try:
        (tmp_path / "projects").mkdir()
        (tmp_path / "projects" / "kept").write_bytes(b"by the first one")
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        with pytest.raises(QueueError, match=rf"kept by process {os.getpid()} of .*Stop the other one"):
            second._check()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    finally:
        first._stop_all()
    second._check()
    second._stop_all()


def test_processes_and_threads_are_as_many_as_the_settings_say(tmp_path, monkeypatch):
    environ = {
        "DATA_DIR": str(tmp_path),
        "HOST": "127.0.0.2",
        "PORT": str(free_port()),
        "REDIS_URL": "redis://nowhere.invalid",
        "WEB_WORKERS": "3",
        "WEB_THREADS": "17",
        "TRAIN_WORKERS": "2",
        "PREDICT_WORKERS": "0",
    }
    monkeypatch.setattr(Child, "start", lambda child: None)
    monkeypatch.setattr(Supervisor, "_wait_for_web", lambda self: None)
    monkeypatch.setattr(Supervisor, "_look_after_all", lambda self: None)
    supervisor = Supervisor(Settings.from_env(environ), environ)
    supervisor._start()
    web, *workers = supervisor._children
    supervisor._stop_all()
    options = dict(itertools.pairwise(web.command))
    wanted = {"--workers": "3", "--threads": "17", "--bind": f"127.0.0.2:{environ['PORT']}"}
    assert options | wanted == options
    assert [worker.command[-2:] for worker in workers] == [["worker", "train"]] * 2


def test_services_that_share_folder_and_redis_keep_their_metrics_apart(tmp_path, monkeypatch):
    environ = {
        "DATA_DIR": str(tmp_path),
        "PORT": str(free_port()),
        "REDIS_URL": "redis://nowhere.invalid",
        "TRAIN_WORKERS": "0",
        "PREDICT_WORKERS": "0",
    }
    folders = []
    monkeypatch.setattr(
        Child, "start", lambda child: folders.append(Path(child.environ["PROMETHEUS_MULTIPROC_DIR"]))
    )
    monkeypatch.setattr(Supervisor, "_wait_for_web", lambda self: None)
    monkeypatch.setattr(Supervisor, "_look_after_all", lambda self: None)
    supervisors = [Supervisor(Settings.from_env(environ), environ) for _ in range(2)]
    for supervisor in supervisors:
        supervisor._check()
        supervisor._start()
        (folders[-1] / "counter_1.db").write_bytes(b"counted")
    supervisors[1]._stop_all()
    assert (folders[0] / "counter_1.db").read_bytes() == b"counted"
    assert not folders[1].exists()
    supervisors[0]._stop_all()


@pytest.fixture
def redis_that_ends_at_once(tmp_path, monkeypatch):
    """The embedded Redis with a program that only notes that it was started, and that note."""
    note = tmp_path / "starts"
    note.touch()
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho started >> '{note}'\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return KeptRedis(EmbeddedRedis(tmp_path / "redis"), is_up=True), note


def test_a_redis_that_keeps_dying_is_started_again_later_each_time(
    redis_that_ends_at_once, monkeypatch, caplog
):
    kept, note = redis_that_ends_at_once
    waits = []
    moment = 1000.0
    last = moment
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    while moment < 1120.0:
        before = note.read_text()
        kept.look_after(moment)
        if note.read_text() != before:
            waits.append(moment - last)
            last = moment
        moment += 0.25
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, MOST_WAIT_S, MOST_WAIT_S]
    assert "did not start (exit status 3)" in caplog.text and "again in 30.0 s" in caplog.text


def test_a_redis_that_was_steady_comes_back_at_once(tmp_path, monkeypatch):
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    kept = KeptRedis(EmbeddedRedis(tmp_path), is_up=True)
    kept.restarts.wait_s = MOST_WAIT_S
    kept.restarts.started_at = moment - STEADY_AFTER_S - 1
    kept.look_after(moment)
    moment += 0.5
    try:
        kept.look_after(moment)
        assert kept.is_up and kept.server.exit_status() is None
    finally:
        kept.server.stop()
