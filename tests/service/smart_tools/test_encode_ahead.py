from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from backend.core.labelstudio.label_config import parse_label_config
from backend.errors import LabelStudioError
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.ports import ImageAccess
from backend.service.smart_tools.encode_ahead import EncodeAhead
from tests.fakes.waiting_room import FakeWaitingRoom

KEY = "7.1763750000"
ACCESS = ImageAccess(token="secret")
CONFIG = parse_label_config(
    '<View><Image name="img" value="$image"/><BrushLabels name="b" toName="img">'
    '<Label value="Cat"/></BrushLabels></View>'
)


class FakePrepared:
    def __init__(self):
        self.prepared: list[str] = []
        self.accesses: list[ImageAccess] = []
        self.done = threading.Event()

    def is_encoded(self, reference, project_key, access):
        return reference in self.prepared

    def encode(self, reference, project_key, access):
        self.prepared.append(reference)
        self.accesses.append(access)
        if len(self.prepared) == 4:
            self.done.set()


class FakeLabelStudio:
    def __init__(self, tasks, failure=None):
        self.all = tasks
        self.failure = failure
        self.has_failed = threading.Event()
        self.pages: list[int] = []

    def tasks(self, project_id, *, page, page_size):
        if self.failure:
            self.has_failed.set()
            raise self.failure
        self.pages.append(page)
        return self.all[(page - 1) * page_size : page * page_size], len(self.all)


def task(task_id: int, labelled: bool = False) -> dict:
    return {
        "id": task_id,
        "inner_id": task_id,
        "data": {"image": f"{task_id}.png"},
        "total_annotations": int(labelled),
        "is_labeled": labelled,
    }


def ahead_of(label_studio, batching=None, room=None, **more):
    prepared = FakePrepared()
    ahead = EncodeAhead(
        prepared, batching or BatchingQueue(), room or FakeWaitingRoom(), lambda key: label_studio, **more
    )
    return ahead, prepared


def test_the_next_unlabelled_tasks_are_prepared():
    tasks = [task(k, labelled=k in (12, 14)) for k in range(1, 40)]
    ahead, prepared = ahead_of(FakeLabelStudio(tasks), idle_s=0.0)
    ahead.follow(KEY, task(11), CONFIG, ACCESS)
    assert prepared.done.wait(5)
    assert prepared.prepared == ["11.png", "13.png", "15.png", "16.png"]
    assert prepared.accesses == [replace(ACCESS, task_id=task_id) for task_id in (11, 13, 15, 16)]


def test_the_listing_starts_near_the_task():
    tasks = [task(k) for k in range(1, 1001)]
    label_studio = FakeLabelStudio(tasks)
    ahead, prepared = ahead_of(label_studio, idle_s=0.0)
    ahead.follow(KEY, task(730), CONFIG, ACCESS)
    assert prepared.done.wait(5)
    assert prepared.prepared == ["730.png", "731.png", "732.png", "733.png"]
    assert label_studio.pages == [15]


def test_nothing_is_prepared_while_somebody_waits():
    room = FakeWaitingRoom()
    room.empty_s = 0.0
    ahead, prepared = ahead_of(FakeLabelStudio([task(k) for k in range(1, 9)]), room=room, idle_s=0.05)
    ahead.follow(KEY, task(1), CONFIG, ACCESS)
    time.sleep(0.4)
    assert prepared.prepared == []
    room.empty_s = 1.0
    assert prepared.done.wait(5)


def test_a_busy_network_is_left_alone():
    batching = BatchingQueue()
    release = threading.Event()
    busy = batching.call(lambda: release.wait(5))
    ahead, prepared = ahead_of(FakeLabelStudio([task(k) for k in range(1, 9)]), batching=batching, idle_s=0.0)
    ahead.follow(KEY, task(1), CONFIG, ACCESS)
    time.sleep(0.3)
    assert prepared.prepared == []
    release.set()
    busy.result(5)
    assert prepared.done.wait(5)


def test_a_newer_wish_replaces_the_older():
    room = FakeWaitingRoom()
    room.empty_s = 0.0
    ahead, prepared = ahead_of(FakeLabelStudio([task(k) for k in range(1, 40)]), room=room, idle_s=0.05)
    ahead.follow(KEY, task(1), CONFIG, ACCESS)
    time.sleep(0.15)
    ahead.follow(KEY, task(20), CONFIG, ACCESS)
    room.empty_s = 1.0
    assert prepared.done.wait(5)
    assert prepared.prepared == ["20.png", "21.png", "22.png", "23.png"]


@pytest.mark.parametrize("failure", [LabelStudioError("away"), ValueError("ours")], ids=repr)
def test_failures_end_with_the_wish_and_not_with_the_thread(failure):
    failing = FakeLabelStudio([task(k) for k in range(1, 9)], failure=failure)
    ahead, prepared = ahead_of(failing, idle_s=0.0)
    ahead.follow(KEY, task(1), CONFIG, ACCESS)
    assert failing.has_failed.wait(5)
    failing.failure = None
    ahead.follow(KEY, task(1), CONFIG, ACCESS)
    assert prepared.done.wait(5)


def test_a_task_without_an_id_is_nothing_to_follow():
    ahead, prepared = ahead_of(FakeLabelStudio([]), idle_s=0.0)
    ahead.follow(KEY, {"data": {"image": "1.png"}}, CONFIG, ACCESS)
    time.sleep(0.1)
    assert prepared.prepared == []
