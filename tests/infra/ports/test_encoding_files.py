"""What every EncodingFiles does: the files that processes of a machine share, and the fake of the tests."""

from __future__ import annotations

import pytest

from backend.infra.machine.file_cache import FileCache
from tests.fakes.encoding_files import FakeEncodingFiles

NAME, OTHER_NAME = "00000001" + "0" * 32, "00000002" + "0" * 32


@pytest.fixture(params=["files", "fake"])
def encodings(request, tmp_path):
    return FakeEncodingFiles() if request.param == "fake" else FileCache(tmp_path / "encodings", 1000)


def test_what_is_written_is_read_until_it_is_dropped(encodings):
    assert encodings.read(NAME) is None and NAME not in encodings
    encodings.write(NAME, b"abc")
    encodings.write(OTHER_NAME, b"d")
    assert encodings.read(NAME) == b"abc" and NAME in encodings
    encodings.write(NAME, b"new")
    assert encodings.read(NAME) == b"new"
    encodings.drop(NAME)
    encodings.drop(NAME)
    assert NAME not in encodings and encodings.read(OTHER_NAME) == b"d"


def test_what_is_not_there_can_be_marked_as_used(encodings):
    encodings.mark_used(NAME)
    assert NAME not in encodings


def test_a_turn_ends_with_its_block_whatever_happens_in_it(encodings):
    with pytest.raises(ZeroDivisionError), encodings.lock(NAME):
        raise ZeroDivisionError
    with encodings.lock(NAME):
        encodings.write(NAME, b"abc")
    assert NAME in encodings
