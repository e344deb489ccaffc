"""What every VersionStore does: the one on a folder, the one on a remote store, and the fake of the tests."""

from __future__ import annotations

import pytest

from backend.core.versions.card import VersionCard
from backend.errors import ConflictError, NotFoundError, VersionError
from backend.infra.store.objects import open_object_store
from backend.infra.store.versions import StoredVersions
from tests.fakes.version_store import FakeVersionStore
from tests.infra.ports.version_files import CARD, WEIGHTS

KEY, OTHER_KEY = "7.1763750000", "8.1763750000"


@pytest.fixture(params=["folder", "remote", "fake"])
def store(request, tmp_path):
    if request.param == "fake":
        return FakeVersionStore(tmp_path / "store")
    location = str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}"
    return StoredVersions(open_object_store(location), tmp_path / "cache", clock=_moving_clock())


def _moving_clock():
    """Return a clock by which every look is long after the one before, so that nothing is remembered."""
    times = iter(range(0, 10**9, 1000))
    return lambda: float(next(times))


@pytest.fixture
def publish(store, tmp_path):
    def publish(version, *, activate=True, key=KEY, **card):
        folder = tmp_path / "trained"
        folder.mkdir(exist_ok=True)
        (folder / "weights.safetensors").write_bytes(WEIGHTS)
        store.publish(key, version, folder, VersionCard.from_json(CARD | card), activate=activate)

    return publish


def test_without_versions(store):
    assert (store.current(KEY), store.list(KEY), store.problems()) == (None, [], [])


def test_a_published_version_serves_with_its_card_and_files(store, publish):
    publish("v1", map50=0.5)
    assert store.current(KEY) == "v1" and store.current(OTHER_KEY) is None
    (listed,) = store.list(KEY)
    assert (listed.card.version, listed.is_pinned, listed.is_current) == ("v1", False, True)
    assert listed.card.facts["map50"] == 0.5
    assert listed.as_json() == {**store.card(KEY, "v1").as_json(), "pinned": False, "is_current": True}
    assert list(store.card(KEY, "v1").labels) == CARD["labels"]
    assert (store.local_folder(KEY, "v1") / "weights.safetensors").read_bytes() == WEIGHTS


def test_versions_are_listed_newest_first(store, publish):
    for version in ("20260102-000000-aaaa", "20260103-000000-aaaa", "20260101-000000-aaaa"):
        publish(version)
    assert [listed.card.version[7] for listed in store.list(KEY)] == ["3", "2", "1"]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_candidate_does_not_serve_until_it_is_activated(store, publish, is_first):
    if not is_first:
        publish("v1")
    publish("v2", activate=False)
    assert store.current(KEY) == (None if is_first else "v1")
    store.activate(KEY, "v2")
    assert store.current(KEY) == "v2"
    assert {listed.card.version for listed in store.list(KEY) if listed.is_current} == {"v2"}


@pytest.mark.parametrize("call", ["activate", "card", "local_folder"])
def test_an_unknown_version_is_refused(store, publish, call):
    publish("v1")
    with pytest.raises(VersionError, match="v9"):
        getattr(store, call)(KEY, "v9")
    assert store.current(KEY) == "v1"


def test_a_card_that_a_caller_changes_stays_as_it_was(store, publish):
    publish("v1")
    store.card(KEY, "v1").as_json()["labels"].append("Mouse")
    store.list(KEY)[0].as_json()["labels"].append("Mouse")
    assert list(store.card(KEY, "v1").labels) == CARD["labels"]


def test_pinning(store, publish):
    publish("v1"), publish("v2")
    store.set_pinned(KEY, "v1", True)
    assert {listed.card.version: listed.is_pinned for listed in store.list(KEY)} == {"v1": True, "v2": False}
    store.set_pinned(KEY, "v1", False)
    store.set_pinned(KEY, "v1", False)
    assert not any(listed.is_pinned for listed in store.list(KEY))
    with pytest.raises(VersionError, match="v9"):
        store.set_pinned(KEY, "v9", True)


def test_deleting(store, publish):
    publish("v1"), publish("v2")
    store.delete(KEY, "v1")
    assert [listed.card.version for listed in store.list(KEY)] == ["v2"]
    with pytest.raises(ConflictError, match="serves"):
        store.delete(KEY, "v2")
    with pytest.raises(NotFoundError, match="v1"):
        store.delete(KEY, "v1")
    with pytest.raises(VersionError):
        store.local_folder(KEY, "v1")


def test_deleting_everything_of_one_project(store, publish):
    publish("v1"), publish("v2"), publish("v3", key=OTHER_KEY)
    store.set_pinned(KEY, "v1", True)
    store.delete_all(KEY)
    assert store.list(KEY) == [] and store.current(KEY) is None
    assert store.current(OTHER_KEY) == "v3"
    store.delete_all(KEY)


def test_an_exported_version_can_be_imported_elsewhere(store, publish, tmp_path):
    publish("v1", map50=0.5)
    target = store.export_file(KEY, "v1", tmp_path / "model.zip")
    assert target == tmp_path / "model.zip" and target.is_file()
    imported = store.import_file(OTHER_KEY, target, activate=False)
    assert store.current(OTHER_KEY) is None
    assert [listed.card.version for listed in store.list(OTHER_KEY)] == [imported]
    assert store.card(OTHER_KEY, imported).facts["map50"] == 0.5
    assert store.card(OTHER_KEY, imported).imported_from == "v1"
    again = store.import_file(OTHER_KEY, target, activate=True)
    assert again != imported and store.current(OTHER_KEY) == again
    assert (store.local_folder(OTHER_KEY, again) / "weights.safetensors").read_bytes() == WEIGHTS


def test_a_file_that_is_no_version_is_refused_and_leaves_nothing(store, tmp_path):
    source = tmp_path / "model.zip"
    source.write_bytes(b"no model")
    with pytest.raises(VersionError):
        store.import_file(KEY, source, activate=True)
    assert store.list(KEY) == []
