"""What every DocumentStore does: on a folder, on a remote store, and as the fake of the tests."""

from __future__ import annotations

import pytest

from backend.infra.store.documents import JsonDocuments
from backend.infra.store.objects import open_object_store
from tests.fakes.documents import FakeDocuments


@pytest.fixture(params=["folder", "remote", "fake"])
def documents(request, tmp_path):
    if request.param == "fake":
        return FakeDocuments()
    location = str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}"
    return JsonDocuments(open_object_store(location))


def test_what_is_written_is_read(documents):
    assert documents.read("projects/7/settings.json") is None
    document = {"params": {"epochs": 3}, "words": ["żółw", None, True, 0.5]}
    documents.write("projects/7/settings.json", document)
    assert documents.read("projects/7/settings.json") == document
    documents.write("projects/7/settings.json", {"params": {}})
    assert documents.read("projects/7/settings.json") == {"params": {}}


def test_what_a_caller_changes_afterwards_stays_outside(documents):
    document = {"ids": [1]}
    documents.write("a.json", document)
    document["ids"].append(2)
    documents.read("a.json")["ids"].append(3)
    assert documents.read("a.json") == {"ids": [1]}


def test_what_json_cannot_hold_is_refused_and_the_document_stays(documents):
    documents.write("a.json", {"n": 1})
    with pytest.raises(TypeError):
        documents.write("a.json", {"n": object()})
    assert documents.read("a.json") == {"n": 1}


def test_deleting(documents):
    documents.write("a.json", {})
    documents.delete("a.json")
    documents.delete("a.json")
    assert documents.read("a.json") is None and documents.list("") == []


def test_documents_are_listed_in_order_below_a_folder(documents):
    paths = [
        "projects/7/settings.json",
        "projects/70/settings.json",
        "jobs/a/request.json",
        "jobs/b/request.json",
    ]
    for path in paths:
        documents.write(path, {})
    assert documents.list("") == sorted(paths)
    assert documents.list("jobs") == documents.list("jobs/") == ["jobs/a/request.json", "jobs/b/request.json"]
    assert documents.list("projects/7") == ["projects/7/settings.json"]
    assert documents.list("nothing") == []


def test_files_of_versions_are_no_documents(documents):
    documents.write("projects/7/settings.json", {})
    documents.write("projects/7/versions/v1/card.json", {})
    documents.write("projects/7/notes.txt", {})
    assert documents.list("projects") == ["projects/7/settings.json"]
