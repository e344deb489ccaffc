import json
import os
import resource
import signal
import threading

import numpy as np
import pytest
from safetensors.numpy import save

from backend.core.versions.card import VersionCard
from backend.errors import ConflictError, NotFoundError, ProjectKeyError, StoreError, VersionError
from backend.infra.store.objects import STAGING_FOLDER, FolderStore, open_object_store
from backend.infra.store.versions import REPORTED_FOR_S, StoredVersions

LABELS = ["a", "b"]
CARD = {"architecture": {"backbone": "resnet18", "label_count": 2, "image_size_px": 416}, "labels": LABELS}
WEIGHTS = save({"w": np.arange(1000, dtype=np.float32)})
KEY = "7.1763750000"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["folder", "remote"])
def objects(request, tmp_path):
    location = str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}"
    return open_object_store(location)


@pytest.fixture
def store(objects, tmp_path, clock):
    return StoredVersions(objects, tmp_path / "cache", keep_versions=2, clock=clock)


def replica(objects, tmp_path, clock):
    return StoredVersions(objects, tmp_path / "cache-of-another", keep_versions=2, clock=clock)


def trained(tmp_path, content=WEIGHTS, prompt=None):
    folder = tmp_path / "trained"
    folder.mkdir(exist_ok=True)
    (folder / "weights.safetensors").write_bytes(content)
    (folder / "checkpoint.pt").write_bytes(b"not part of a version")
    if prompt:
        (folder / "prompt.safetensors").write_bytes(prompt)
    return folder


def card_with(**facts):
    return VersionCard.from_json(CARD | facts)


def publish(store, tmp_path, version, *, activate=True, key=KEY, **card):
    store.publish(key, version, trained(tmp_path), card_with(**card), activate=activate)


def test_a_published_version_serves_and_is_listed(store, tmp_path):
    assert store.current(KEY) is None and store.list(KEY) == []
    store.publish(
        KEY,
        "v1",
        trained(tmp_path, prompt=WEIGHTS),
        card_with(map50=0.5),
        activate=True,
    )
    assert store.current(KEY) == "v1"
    (listed,) = store.list(KEY)
    assert (listed.card.version, listed.is_pinned, listed.is_current) == ("v1", False, True)
    assert listed.as_json() == {**listed.card.as_json(), "pinned": False, "is_current": True}
    assert listed.card.facts["map50"] == 0.5
    folder = store.local_folder(KEY, "v1")
    names = ["card.json", "manifest.json", "prompt.safetensors", "weights.safetensors"]
    assert sorted(set(os.listdir(folder)) | {"manifest.json"}) == names
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS
    assert json.loads((folder / "card.json").read_text())["version"] == "v1"


def test_a_candidate_waits_until_it_is_activated(store, tmp_path):
    publish(store, tmp_path, "v1")
    publish(store, tmp_path, "v2", activate=False)
    assert store.current(KEY) == "v1"
    store.activate(KEY, "v2")
    assert store.current(KEY) == "v2"
    with pytest.raises(VersionError, match="v3"):
        store.activate(KEY, "v3")
    assert store.current(KEY) == "v2"


def test_another_replica_notices_at_once(store, objects, tmp_path, clock):
    other = replica(objects, tmp_path, clock)
    publish(store, tmp_path, "v1")
    assert other.current(KEY) == "v1"
    publish(store, tmp_path, "v2")
    assert other.current(KEY) == "v2"
    assert (other.local_folder(KEY, "v2") / "weights.safetensors").read_bytes() == WEIGHTS


def test_old_versions_go_but_pinned_ones_and_the_serving_one_stay(store, tmp_path):
    for version in ("v1", "v2", "v3"):
        publish(store, tmp_path, version, activate=version == "v1")
        if version == "v2":
            store.set_pinned(KEY, "v2", True)
    for version in ("v4", "v5", "v6"):
        publish(store, tmp_path, version, activate=False)
    assert [listed.card.version for listed in store.list(KEY)] == ["v6", "v5", "v2", "v1"]
    assert {listed.card.version for listed in store.list(KEY) if listed.is_pinned} == {"v2"}
    store.set_pinned(KEY, "v2", False)
    publish(store, tmp_path, "v7")
    assert [listed.card.version for listed in store.list(KEY)] == ["v7", "v6"]


def test_deleting(store, tmp_path):
    publish(store, tmp_path, "v1", activate=False)
    publish(store, tmp_path, "v2")
    with pytest.raises(ConflictError, match="activate another"):
        store.delete(KEY, "v2")
    store.delete(KEY, "v1")
    assert [listed.card.version for listed in store.list(KEY)] == ["v2"]
    with pytest.raises(NotFoundError, match="v1"):
        store.delete(KEY, "v1")


def test_projects_do_not_see_each_other(store, tmp_path):
    publish(store, tmp_path, "v1", key="7")
    assert store.current("7.1763750000") is None and store.current("8") is None
    assert store.projects() == ["7"]
    with pytest.raises(VersionError):
        store.local_folder("8", "v1")


@pytest.mark.parametrize("key", ["../../x", "", "7/8", "7.", "x", "7.1.2", "٧", "7\n"])
def test_only_project_keys_are_taken(store, tmp_path, key):
    for call in (store.list, store.current, lambda key: publish(store, tmp_path, "v1", key=key)):
        with pytest.raises(ProjectKeyError):
            call(key)


@pytest.mark.parametrize("version", ["../v1", "", "a/b", ".", "v1\n", "x" * 65])
def test_only_version_names_are_taken(store, version):
    for call in (store.activate, store.local_folder, store.card, store.delete):
        with pytest.raises(VersionError, match="named like"):
            call(KEY, version)


def test_a_name_is_never_reused(store, tmp_path):
    publish(store, tmp_path, "v1")
    with pytest.raises(StoreError):
        publish(store, tmp_path, "v1", map50=0.9)
    assert "map50" not in store.card(KEY, "v1").facts


class TestDamage:
    def damage(self, objects, version, name="weights.safetensors", content=WEIGHTS[:-4]):
        key = f"projects/{KEY}/versions/{version}/{name}"
        if content is None:
            objects.delete(key)
        else:
            objects.put_bytes(key, content)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("weights.safetensors", WEIGHTS[:-4]),
            ("weights.safetensors", None),
            ("weights.safetensors", b""),
            ("card.json", None),
            ("manifest.json", None),
            ("manifest.json", b"{"),
        ],
    )
    def test_the_newest_good_version_serves(self, store, objects, tmp_path, clock, name, content):
        publish(store, tmp_path, "v1")
        publish(store, tmp_path, "v2")
        self.damage(objects, "v2", name, content)
        assert store.current(KEY) == "v1"
        assert any("v2" in problem for problem in store.problems())
        with pytest.raises(VersionError):
            store.activate(KEY, "v2")

    def test_a_deleted_folder_is_damage_too(self, store, objects, tmp_path, clock):
        publish(store, tmp_path, "v1")
        publish(store, tmp_path, "v2")
        objects.delete(f"projects/{KEY}/versions/v2")
        assert store.current(KEY) == "v1"

    def test_nothing_good_left(self, store, objects, tmp_path, clock):
        publish(store, tmp_path, "v1")
        self.damage(objects, "v1")
        assert store.current(KEY) is None

    def test_a_repaired_version_serves_again(self, store, objects, tmp_path, clock):
        publish(store, tmp_path, "v1")
        self.damage(objects, "v1")
        assert store.current(KEY) is None and store.problems()
        self.damage(objects, "v1", content=WEIGHTS)
        clock.now += 60
        assert store.current(KEY) == "v1" and store.problems() == []

    def test_damage_that_nobody_meets_any_more_is_forgotten(self, store, objects, tmp_path, clock):
        publish(store, tmp_path, "v1")
        publish(store, tmp_path, "v2")
        self.damage(objects, "v2", content=None)
        store.current(KEY)
        store.activate(KEY, "v1")
        assert store.problems()
        clock.now += REPORTED_FOR_S + 1
        assert store.current(KEY) == "v1" and store.problems() == []

    def test_same_length_other_bytes_are_noticed_before_use(self, store, objects, tmp_path, clock):
        publish(store, tmp_path, "v1")
        publish(store, tmp_path, "v2")
        self.damage(objects, "v2", content=WEIGHTS[:-1] + b"?")
        with pytest.raises(VersionError, match="SHA-256"):
            store.local_folder(KEY, "v2")
        assert store.current(KEY) == "v1"

    @pytest.mark.parametrize("pointer", [b"{", b"[]", b'{"version": 7}', b'{"version": "../x"}'])
    def test_a_damaged_pointer_means_the_newest(self, store, objects, tmp_path, clock, pointer):
        publish(store, tmp_path, "v1")
        publish(store, tmp_path, "v2")
        objects.put_bytes(f"projects/{KEY}/current.json", pointer)
        assert store.current(KEY) == "v2"


class TestMoving:
    def test_exported_and_imported_elsewhere(self, store, objects, tmp_path, clock):
        store.publish(
            KEY,
            "v1",
            trained(tmp_path, prompt=WEIGHTS),
            card_with(map50=0.5),
            activate=True,
        )
        file = store.export_file(KEY, "v1", tmp_path / "model.zip")
        assert [path.name for path in tmp_path.glob("model.zip*")] == ["model.zip"]
        version = replica(objects, tmp_path, clock).import_file("8", file, activate=True)
        assert version != "v1" and store.current("8") == version
        card = store.card("8", version)
        assert (card.version, card.imported_from, card.facts["map50"]) == (version, "v1", 0.5)
        assert (store.local_folder("8", version) / "prompt.safetensors").read_bytes() == WEIGHTS

    def test_a_refused_file_leaves_nothing(self, store, objects, tmp_path):
        publish(store, tmp_path, "v1")
        file = store.export_file(KEY, "v1", tmp_path / "model.zip")
        file.write_bytes(file.read_bytes()[:-100])
        before = objects.keys("")
        with pytest.raises(VersionError):
            store.import_file("8", file, activate=True)
        assert objects.keys("") == before and store.current("8") is None

    def test_a_file_that_is_not_there(self, store, tmp_path):
        with pytest.raises(VersionError, match="cannot be read"):
            store.import_file("8", tmp_path / "none.zip", activate=True)

    def test_a_damaged_version_is_not_exported(self, store, objects, tmp_path):
        publish(store, tmp_path, "v1")
        objects.put_bytes(f"projects/{KEY}/versions/v1/weights.safetensors", b"x")
        with pytest.raises(VersionError):
            store.export_file(KEY, "v1", tmp_path / "model.zip")
        assert not list(tmp_path.glob("model.zip*"))


def test_a_full_disk_while_publishing_leaves_the_old_version_serving(tmp_path):
    objects = FolderStore(tmp_path / "store")
    store = StoredVersions(objects, tmp_path / "cache")
    publish(store, tmp_path, "v1")
    folder = trained(tmp_path, save({"w": np.zeros(100_000, np.float32)}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StoreError, match="cannot write"):
            store.publish(KEY, "v2", folder, card_with(), activate=True)
        with pytest.raises(StoreError, match="cannot write"):
            store.publish(KEY, "v3", tmp_path / "trained", card_with(), activate=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.current(KEY) == "v1"
    assert [listed.card.version for listed in store.list(KEY)] == ["v1"]
    assert os.listdir(tmp_path / "store" / STAGING_FOLDER) == []


def test_the_cache_of_a_remote_store_is_bounded(tmp_path):
    objects = open_object_store(f"memory://{tmp_path.name}")
    store = StoredVersions(objects, tmp_path / "cache", keep_versions=9, cache_bytes=3 * len(WEIGHTS))
    for number in range(5):
        publish(store, tmp_path, f"v{number}")
        store.local_folder(KEY, f"v{number}")
    kept = sorted(path.name for path in (tmp_path / "cache" / KEY).iterdir())
    assert len(kept) <= 3 and "v4" in kept
    assert (store.local_folder(KEY, "v0") / "weights.safetensors").is_file()


def test_a_copy_damaged_on_this_disk_is_fetched_again(tmp_path):
    objects = open_object_store(f"memory://{tmp_path.name}")
    store = StoredVersions(objects, tmp_path / "cache")
    publish(store, tmp_path, "v1")
    copy = store.local_folder(KEY, "v1") / "weights.safetensors"
    for rubbish in (WEIGHTS[:-1] + b"?", WEIGHTS[:-9], b""):
        copy.write_bytes(rubbish)
        assert (store.local_folder(KEY, "v1") / "weights.safetensors").read_bytes() == WEIGHTS
    assert store.problems() == []


def test_threads_that_want_the_same_remote_version_all_get_it(tmp_path):
    objects = open_object_store(f"memory://{tmp_path.name}")
    publish(StoredVersions(objects, tmp_path / "a"), tmp_path, "v1")
    store, folders = StoredVersions(objects, tmp_path / "b"), []
    threads = [
        threading.Thread(target=lambda: folders.append(store.local_folder(KEY, "v1"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1 and len(folders) == 8
    assert not list((tmp_path / "b").glob(".new-*"))


def test_an_unchanged_version_is_hashed_once(tmp_path):
    store = StoredVersions(FolderStore(tmp_path / "store"), tmp_path / "cache")
    publish(store, tmp_path, "v1")
    folder = store.local_folder(KEY, "v1")
    stat = (folder / "weights.safetensors").stat()
    changed = bytearray(WEIGHTS)
    changed[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(changed)
    os.utime(folder / "weights.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.local_folder(KEY, "v1") == folder, "same length and time of change: taken as verified"
    os.utime(folder / "weights.safetensors")
    with pytest.raises(VersionError, match="SHA-256"):
        store.local_folder(KEY, "v1")
