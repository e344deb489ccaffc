import os
import resource
import signal
import subprocess
import sys

import pytest

from backend.errors import StoreError
from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import STAGING_FOLDER, FolderStore, RemoteStore, open_object_store


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    if request.param == "folder":
        return open_object_store(str(tmp_path / "store"))
    return open_object_store(f"memory://{tmp_path.name}/store")


@pytest.fixture
def file_size_limit():
    """Make every write beyond a number of bytes fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_was_put_is_got(store, tmp_path):
    store.put_bytes("a/b/c.json", b"1")
    store.put_bytes("a/b/c.json", b"22")
    assert (store.get_bytes("a/b/c.json"), store.size_bytes("a/b/c.json")) == (b"22", 2)
    store.get_file("a/b/c.json", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"22"


def test_a_file_replaces_an_object(store, tmp_path):
    (tmp_path / "a").write_bytes(b"first")
    store.put_file("jobs/1/checkpoint.pt", tmp_path / "a")
    (tmp_path / "a").write_bytes(b"second")
    store.put_file("jobs/1/checkpoint.pt", tmp_path / "a")
    assert store.get_bytes("jobs/1/checkpoint.pt") == b"second"
    with pytest.raises(StoreError):
        store.put_file("jobs/1/checkpoint.pt", tmp_path / "not there")


def test_what_is_not_there_is_none(store, tmp_path):
    assert store.get_bytes("a/b") is None
    assert store.size_bytes("a/b") is None
    assert store.names("a") == [] and store.keys("a") == []
    store.delete("a/b")
    with pytest.raises(StoreError, match="read a/b"):
        store.get_file("a/b", tmp_path / "copy")


def test_listing_and_deleting(store):
    for key in ("p/7/x.json", "p/7/v/1/w", "p/8/x.json"):
        store.put_bytes(key, b"x")
    assert store.names("p") == ["7", "8"]
    assert store.keys("p/7") == ["p/7/v/1/w", "p/7/x.json"]
    store.delete("p/7/v")
    store.delete("p/8/x.json")
    assert store.keys("p") == ["p/7/x.json"]


def test_a_folder_appears_whole_and_is_never_replaced(store, tmp_path):
    (tmp_path / "w").write_bytes(b"w" * 10)
    store.put_folder("p/v1", {"w": tmp_path / "w", "m": b"{}"}, last="m")
    assert store.keys("p") == ["p/v1/m", "p/v1/w"]
    with pytest.raises(StoreError):
        store.put_folder("p/v1", {"m": b"other"}, last="m")
    assert store.get_bytes("p/v1/m") == b"{}"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "a//b", "", "a/.", "a\\b", "a\0b"])
def test_a_key_stays_inside(store, key):
    with pytest.raises(ValueError, match="plain parts"):
        store.put_bytes(key, b"x")


def test_a_full_disk_leaves_the_old_object_and_no_part(tmp_path, file_size_limit):
    store = FolderStore(tmp_path)
    store.put_bytes("a", b"old")
    source = tmp_path / "big"
    source.write_bytes(b"x" * 300_000)
    file_size_limit(100_000)
    with pytest.raises(StoreError, match="write a"):
        store.put_bytes("a", b"x" * 200_000)
    with pytest.raises(StoreError, match="write v"):
        store.put_folder("v", {"small": b"1", "w": source}, last="small")
    assert store.get_bytes("a") == b"old"
    assert store.keys("") == ["a", "big"]
    assert os.listdir(tmp_path / STAGING_FOLDER) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    store = FolderStore(tmp_path)
    store.put_bytes("a", b"x")
    program = (
        "import os, sys, pathlib\n"
        "from backend.infra.store.objects import FolderStore\n"
        "with FolderStore(pathlib.Path(sys.argv[1]))._stage() as folder:\n"
        "    (folder / 'half').write_bytes(b'x')\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == 9
    (left,) = (tmp_path / STAGING_FOLDER).iterdir()
    with store._stage() as in_use:
        FolderStore(tmp_path).put_bytes("a", b"y")
        assert in_use.exists() and not left.exists()
    assert store.keys("") == ["a"]


def test_a_remote_upload_that_fails_leaves_nothing(tmp_path):
    store = RemoteStore(f"memory://{tmp_path.name}")
    with pytest.raises(StoreError, match="write v"):
        store.put_folder("v", {"m": b"1", "w": tmp_path / "not-there"}, last="m")
    assert store.keys("") == []


def test_a_remote_folder_without_its_last_object_does_not_count_yet(tmp_path):
    store = RemoteStore(f"memory://{tmp_path.name}")
    store.put_bytes("v/w", b"left over by a killed upload")
    store.put_folder("v", {"w": b"new", "m": b"1"}, last="m")
    assert store.get_bytes("v/w") == b"new"


def test_an_address_without_its_package_says_what_to_install():
    with pytest.raises(StoreError, match="extra `s3`"):
        open_object_store("nosuchscheme://x").get_bytes("a")


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="write"):
        FolderStore(tmp_path / "file").put_bytes("a", b"x")


class TestDocuments:
    def test_there_and_back(self, store):
        documents = JsonDocuments(store)
        documents.write("projects/7/settings.json", {"name": "żółw 🐢", "n": 1.5})
        assert documents.read("projects/7/settings.json") == {"name": "żółw 🐢", "n": 1.5}
        documents.delete("projects/7/settings.json")
        assert documents.read("projects/7/settings.json") is None

    def test_versions_are_no_documents(self, store):
        documents = JsonDocuments(store)
        documents.write("projects/7/settings.json", {})
        store.put_bytes("projects/7/versions/v1/card.json", b"{}")
        store.put_bytes("projects/7/log.txt", b"")
        assert documents.list("projects/") == ["projects/7/settings.json"]

    @pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
    def test_a_damaged_document_is_named(self, store, content):
        store.put_bytes("projects/7/settings.json", content)
        with pytest.raises(StoreError, match=r"projects/7/settings\.json"):
            JsonDocuments(store).read("projects/7/settings.json")
