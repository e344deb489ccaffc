from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from backend.core.versions.card import VersionCard
from backend.errors import QueueError, VersionError
from backend.service.engine.loaded_versions import NOT_TRAINED, LoadedVersions
from backend.service.engine.stamps import StampsHere
from tests.fakes.predictor import FakePredictor
from tests.fakes.version_store import FakeVersionStore

KEY = "7.1"


@pytest.fixture
def store(tmp_path):
    return FakeVersionStore(tmp_path)


def publish(store, version, key=KEY, **card):
    store.publish(key, version, Path("/nonexistent"), VersionCard.from_json(card), activate=True)


class Loader:
    def __init__(self, seconds=0.0):
        self.loaded, self.seconds, self.damaged = [], seconds, set()

    def __call__(self, folder):
        time.sleep(self.seconds)
        self.loaded.append(folder.name)
        if folder.name in self.damaged:
            raise VersionError("weights are damaged")
        return FakePredictor(version=folder.name)


def test_before_any_training(store):
    versions = LoadedVersions(store, Loader())
    assert versions.reported(KEY) == NOT_TRAINED
    assert versions.predictor(KEY) is None


def test_a_predictor_is_loaded_once_for_all_threads(store):
    publish(store, "v1")
    load = Loader(seconds=0.1)
    versions, found = LoadedVersions(store, load), []
    threads = [threading.Thread(target=lambda: found.append(versions.predictor(KEY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load.loaded == ["v1"]
    assert len({id(predictor) for predictor in found}) == 1


def test_another_version_is_noticed_and_the_old_one_lives_on_for_who_has_it(store):
    now = [0.0]
    publish(store, "v1")
    versions = LoadedVersions(store, Loader(), clock=lambda: now[0])
    old = versions.predictor(KEY)
    publish(store, "v2")
    assert versions.current(KEY) == "v1"
    now[0] = 2.5  # with the store's own 1.5 s less than the 5 s that a replica may take
    assert versions.predictor(KEY).version == "v2"
    assert old.version == "v1"


def test_a_change_made_here_is_seen_at_once(store):
    publish(store, "v1")
    versions = LoadedVersions(store, Loader())
    assert versions.current(KEY) == "v1"
    publish(store, "v2")
    versions.announce(KEY)
    assert versions.current(KEY) == "v2"


def test_a_damaged_version_gives_way_to_the_newest_good_one(store, caplog):
    for version in ("v1", "v2", "v3"):
        publish(store, version)
    load = Loader()
    load.damaged = {"v3"}
    versions = LoadedVersions(store, load)
    assert versions.predictor(KEY).version == "v2"
    assert versions.reported(KEY) == "v2"
    assert "v3 cannot be loaded: weights are damaged" in caplog.text


def test_nothing_serves_where_every_version_is_damaged(store):
    publish(store, "v1")
    load = Loader()
    load.damaged = {"v1"}
    versions = LoadedVersions(store, load)
    assert versions.predictor(KEY) is None
    assert versions.reported(KEY) == NOT_TRAINED


def test_a_version_asked_for_by_name_must_load(store):
    publish(store, "v1")
    with pytest.raises(VersionError):
        LoadedVersions(store, Loader()).predictor(KEY, "v404")


def test_an_error_of_the_loader_becomes_a_version_error(store):
    publish(store, "v1")

    def load(folder):
        raise KeyError("backbone")

    with pytest.raises(VersionError, match="backbone"):
        LoadedVersions(store, load).predictor(KEY, "v1")


def test_only_the_last_used_stay_in_memory(store):
    for key in ("1", "2", "3"):
        publish(store, "v1", key)
    load = Loader()
    versions = LoadedVersions(store, load, most_loaded=2)
    for key in ("1", "2", "1", "3", "1", "2"):
        versions.predictor(key)
    assert len(versions.loaded()) == 2
    assert load.loaded == ["v1"] * 4


def test_a_retired_project_serves_nothing(store):
    publish(store, "v1")
    assert LoadedVersions(store, Loader(), is_retired=lambda key: key == KEY).current(KEY) is None


def test_a_predictor_is_ready_at_once_while_another_version_is_loaded(store):
    may_load = threading.Event()

    def load(folder):
        if folder.name == "v2":
            assert may_load.wait(30)
        return FakePredictor(version=folder.name)

    now = [0.0]
    versions = LoadedVersions(store, load, clock=lambda: now[0])
    assert versions.ready_predictor(KEY, 30) is None
    publish(store, "v1")
    now[0] += 10
    assert versions.ready_predictor(KEY, 30).version == "v1"
    publish(store, "v2")
    now[0] += 10
    assert versions.ready_predictor(KEY, 30).version == "v1"
    may_load.set()
    versions.predictor(KEY)
    assert versions.ready_predictor(KEY, 30).version == "v2"


def test_nothing_is_ready_in_time_where_the_only_version_takes_longer(store):
    may_load = threading.Event()
    versions = LoadedVersions(store, lambda folder: may_load.wait(30) and FakePredictor(version=folder.name))
    publish(store, "v1")
    assert versions.ready_predictor(KEY, 0.05) is None
    may_load.set()
    assert versions.ready_predictor(KEY, 30).version == "v1"


def test_a_damaged_version_is_passed_over_when_one_is_wanted_at_once(store):
    load = Loader()
    load.damaged.add("v2")
    publish(store, "v1")
    publish(store, "v2")
    versions = LoadedVersions(store, load)
    assert versions.ready_predictor(KEY, 30).version == "v1"
    assert versions.reported(KEY) == "v1"


class Stamps(StampsHere):
    """Stamps that may be away; counts how often they are asked."""

    def __init__(self):
        super().__init__()
        self.is_away, self.asked = False, 0

    def read(self, project_key):
        self.asked += 1
        if self.is_away:
            raise QueueError("Redis is away")
        return super().read(project_key)


def test_what_another_process_announces_serves_at_once(store):
    stamps, now = Stamps(), [0.0]
    here, there = (LoadedVersions(store, Loader(), stamps=stamps, clock=lambda: now[0]) for _ in range(2))
    publish(store, "v1")
    assert here.reported(KEY) == there.reported(KEY) == "v1"
    publish(store, "v2")
    assert there.reported(KEY) == "v1"  # asked a moment ago, and nothing was announced
    here.announce(KEY)
    assert there.reported(KEY) == here.reported(KEY) == "v2"
    assert there.predictor(KEY).version == "v2"


def test_the_store_is_not_asked_while_the_stamp_stays(store):
    asked, now = [], [0.0]

    class Counted:
        def current(self, project_key):
            asked.append(project_key)
            return store.current(project_key)

    publish(store, "v1")
    versions = LoadedVersions(Counted(), Loader(), clock=lambda: now[0])
    assert [versions.reported(KEY) for _ in range(20)] == ["v1"] * 20
    assert len(asked) == 1


def test_while_redis_is_away_the_store_is_asked_and_redis_seldom(store):
    stamps, now = Stamps(), [0.0]
    versions = LoadedVersions(store, Loader(), stamps=stamps, clock=lambda: now[0])
    publish(store, "v1")
    assert versions.reported(KEY) == "v1"
    stamps.is_away = True
    publish(store, "v2")
    asked = stamps.asked
    assert [versions.reported(KEY) for _ in range(20)] == ["v2"] * 20
    assert stamps.asked == asked + 1
    stamps.is_away = False
    now[0] += 2.1
    assert versions.reported(KEY) == "v2"
    publish(store, "v3")
    versions.announce(KEY)
    assert versions.reported(KEY) == "v3"
