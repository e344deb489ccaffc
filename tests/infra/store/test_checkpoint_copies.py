import os
import threading

import pytest

from backend.errors import StoreError
from backend.infra.store.checkpoint_copies import CheckpointCopies
from backend.infra.store.objects import open_object_store

JOB = "train-1"


@pytest.fixture(params=["folder", "memory"])
def objects(request, tmp_path):
    folder = request.param == "folder"
    return open_object_store(str(tmp_path / "store") if folder else f"memory://{tmp_path.name}/checkpoints")


@pytest.fixture
def here(tmp_path):
    return checkpoint(tmp_path / "here" / "checkpoint.pt", b"epoch 3", written_at=1000.5)


def checkpoint(path, content, written_at):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    os.utime(part, (written_at, written_at))
    part.replace(path)
    return path


def copied(objects, path):
    copies = CheckpointCopies(objects)
    copies.finish(JOB, path, within_s=20)
    return copies


def test_another_machine_goes_on_from_it(objects, here, tmp_path):
    copied(objects, here)
    there = tmp_path / "there" / "checkpoint.pt"
    CheckpointCopies(objects).fetch(JOB, there)
    assert there.read_bytes() == b"epoch 3"
    assert [path.name for path in there.parent.iterdir()] == ["checkpoint.pt"]
    assert [path.name for path in here.parent.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(("written_at", "content"), [(2000.5, b"mine"), (500.5, b"epoch 3")])
def test_the_newer_one_counts(objects, here, tmp_path, written_at, content):
    copied(objects, here)
    there = checkpoint(tmp_path / "there" / "checkpoint.pt", b"mine", written_at)
    CheckpointCopies(objects).fetch(JOB, there)
    assert there.read_bytes() == content


def test_without_a_copy_the_training_starts_over(objects, tmp_path):
    CheckpointCopies(objects).fetch(JOB, tmp_path / "there" / "checkpoint.pt")
    assert not (tmp_path / "there").exists()


def test_an_ended_job_leaves_no_copy(objects, here, tmp_path):
    copies = copied(objects, here)
    assert copies.job_ids() == [JOB]
    copies.drop(JOB)
    assert copies.job_ids() == [] and objects.keys("jobs") == []
    copies.drop(JOB)


def test_the_training_does_not_wait_and_the_newest_is_copied_in_the_end(objects, here, tmp_path):
    has_begun, may_go_on, put = threading.Event(), threading.Event(), objects.put_file
    started = []

    def slowly(key, source):
        started.append(source.read_bytes())
        has_begun.set()
        may_go_on.wait(20)
        put(key, source)

    objects.put_file = slowly
    copies = CheckpointCopies(objects)
    copies.keep(JOB, here)
    assert has_begun.wait(20)
    for epoch in (4, 5):
        checkpoint(here, b"epoch %d" % epoch, written_at=1000.5 + epoch)
        copies.keep(JOB, here)  # the first is still being copied
    may_go_on.set()
    copies.finish(JOB, here, within_s=20)
    assert started == [b"epoch 3", b"epoch 5"]
    there = tmp_path / "there" / "checkpoint.pt"
    CheckpointCopies(objects).fetch(JOB, there)
    assert there.read_bytes() == b"epoch 5"


@pytest.mark.parametrize("method", ["put_file", "get_bytes"])
def test_a_store_that_fails_costs_the_copy_only(objects, here, tmp_path, method, caplog):
    def fail(*_):
        raise StoreError("No space left on device")

    setattr(objects, method, fail)
    copies = copied(objects, here)
    copies.fetch(JOB, tmp_path / "there" / "checkpoint.pt")
    copies.drop(JOB)
    assert "No space left" in caplog.text
    assert here.read_bytes() == b"epoch 3"


def test_a_copy_whose_note_is_damaged_is_passed_over(objects, here, tmp_path):
    copied(objects, here)
    objects.put_bytes(f"jobs/{JOB}/checkpoint.json", b"{")
    CheckpointCopies(objects).fetch(JOB, tmp_path / "there" / "checkpoint.pt")
    assert not (tmp_path / "there" / "checkpoint.pt").exists()
