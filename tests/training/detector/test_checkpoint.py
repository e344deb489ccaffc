import pytest
import torch

from backend.training.detector.checkpoint import TrainingState, discard_state, load_state, save_state
from backend.training.detector.start_weights import Start
from backend.training.inputs import CHECKPOINT_FILE

START = Start("random weights", warning="NO PRETRAINED WEIGHTS")


def state():
    return TrainingState(
        next_epoch=3, step=12, weights={"a": torch.arange(3.0)}, warnings=["careful"], start=START
    )


def test_what_was_saved_is_loaded(tmp_path):
    save_state(state(), tmp_path / "job", "this training")
    again = load_state(tmp_path / "job", "this training")
    assert (again.next_epoch, again.step, again.warnings) == (3, 12, ["careful"])
    assert torch.equal(again.weights["a"], torch.arange(3.0))
    assert again.start == START
    assert [path.name for path in (tmp_path / "job").iterdir()] == [CHECKPOINT_FILE]


def test_the_checkpoint_of_a_release_that_did_not_note_the_start_is_loaded(tmp_path):
    save_state(state(), tmp_path, "this training")
    stored = torch.load(tmp_path / CHECKPOINT_FILE, weights_only=True)
    del stored["start"]
    torch.save(stored, tmp_path / CHECKPOINT_FILE)
    again = load_state(tmp_path, "this training")
    assert (again.next_epoch, again.start) == (3, None)


def test_a_checkpoint_of_another_format_starts_over(tmp_path):
    save_state(state(), tmp_path, "this training")
    stored = torch.load(tmp_path / CHECKPOINT_FILE, weights_only=True)
    torch.save({**stored, "format": stored["format"] + 1}, tmp_path / CHECKPOINT_FILE)
    assert load_state(tmp_path, "this training") is None


def test_nothing_is_loaded_where_nothing_is(tmp_path):
    assert load_state(tmp_path, "this training") is None


@pytest.mark.parametrize("content", [b"", b"nonsense"], ids=["empty", "nonsense"])
def test_a_damaged_file_starts_over(tmp_path, content):
    (tmp_path / CHECKPOINT_FILE).write_bytes(content)
    assert load_state(tmp_path, "this training") is None


def test_another_training_starts_over(tmp_path):
    save_state(state(), tmp_path, "another training")
    assert load_state(tmp_path, "this training") is None


def test_a_checkpoint_that_has_served_goes(tmp_path):
    save_state(state(), tmp_path, "this training")
    discard_state(tmp_path)
    discard_state(tmp_path)
    assert not any(tmp_path.iterdir())
