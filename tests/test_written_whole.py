import threading

import pytest

from backend.written_whole import PART, written_whole


def test_the_file_is_there_once_it_is_whole(tmp_path):
    path = tmp_path / "not" / "yet" / "file"
    with written_whole(path) as part:
        part.write_bytes(b"half")
        assert not path.exists() and part.parent == path.parent and part.suffix == PART
    assert path.read_bytes() == b"half" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [ValueError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("has_written", [True, False])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure, has_written):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(failure), written_whole(path) as part:
        if has_written:
            part.write_bytes(b"half")
        raise failure
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "file"):
        pass


def test_writers_do_not_meet(tmp_path):
    path, both_inside = tmp_path / "file", threading.Barrier(2)

    def write(content):
        with written_whole(path) as part:
            part.write_bytes(content[:1])
            both_inside.wait(5)
            part.write_bytes(content)

    threads = [threading.Thread(target=write, args=(content,)) for content in (b"aaaa", b"bbbb")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in (b"aaaa", b"bbbb") and list(tmp_path.iterdir()) == [path]


def test_who_may_read_is_as_usual(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    with written_whole(tmp_path / "file") as part:
        part.write_bytes(b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
