import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.core.geometry.points import POINTS, LabelledPoint, points_of
from backend.errors import NotEnoughData, OutOfMemory, TrainingError, VersionError
from backend.nn.detector.heads.catalog import HEADS
from backend.nn.detector.predictor import load_predictor
from backend.training import run
from backend.training.detector.images import load_images
from backend.training.inputs import TrainingInputs, TrainingPaused
from backend.training.launch import (
    learn_in_processes,
    process_count,
    read_inputs,
    read_messages,
    say,
    write_inputs,
)
from backend.training.parameters import TrainingParams
from backend.training.progress import StagedObserver
from backend.training.recipe import Recipe
from backend.training.run import train_version
from tests.learning_scenes import Observer, sample

NO_TUNING = Recipe(tuning_share=0, tuning_seconds_min=0)
PARAMS = TrainingParams(epochs=6, image_size=224, pretrained=False, backbone="test_resnet", batch_size=8)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def inputs_for(folder, count=30, **changes):
    inputs = TrainingInputs(
        [sample(i) for i in range(count)], ("red", "blue"), PARAMS, folder, processes=2, recipe=NO_TUNING
    )
    return replace(inputs, **changes)


def staged():
    return StagedObserver(Observer(), lambda _: 0.0)


@pytest.mark.parametrize(
    ("batch_size", "asked", "images", "count"),
    [(8, 1, 100, 1), (8, 2, 100, 2), (8, 8, 100, 2), (64, 8, 100, 8), (2, 8, 100, 1), (64, 8, 10, 1)],
)
def test_no_more_processes_than_have_something_to_do(tmp_path, batch_size, asked, images, count):
    params = replace(PARAMS, batch_size=batch_size)
    assert process_count(inputs_for(tmp_path, 1, params=params, processes=asked), images) == count


def test_what_the_processes_read_is_what_the_worker_has(tmp_path):
    inputs = inputs_for(
        tmp_path,
        3,
        params=replace(PARAMS, task_ids=(1, 2)),
        seed=7,
        start_folder=tmp_path / "v",
        known_tasks=frozenset((2, 5)),
    )
    loaded = run._load(inputs, staged())
    taught = [replace(image.target, extras={"choice": 1}) for image in loaded.images]
    images = [replace(image, target=target) for image, target in zip(loaded.images, taught, strict=True)]
    loaded = replace(loaded, images=images)
    (tmp_path / "processes").mkdir()
    write_inputs(tmp_path / "processes", inputs, loaded)
    again, images = read_inputs(tmp_path / "processes")
    assert replace(again, samples=inputs.samples, processes=2) == inputs
    assert images.task_ids == loaded.task_ids
    for one, other in zip(images.images, loaded.images, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert one.target.size == other.target.size
        assert one.source is not None and one.source == other.source
        assert one.target.extras == {"choice": 1}
        np.testing.assert_array_equal(one.target.boxes_xyxy_px, other.target.boxes_xyxy_px)
        for mask, wanted in zip(one.target.masks, other.target.masks, strict=True):
            assert (mask.left_px, mask.top_px) == (wanted.left_px, wanted.top_px)
            np.testing.assert_array_equal(mask.bits, wanted.bits)


def test_the_processes_learn_points_as_the_worker_read_them(tmp_path):
    drawn = LabelledPoint(3.0, 4.5, 1, 0, 2)
    one = sample(0)
    one = replace(one, target=replace(one.target, extras={POINTS: [drawn]}))
    loaded = load_images([one], 96, tmp_path / "images", heads=HEADS)
    (tmp_path / "processes").mkdir()
    write_inputs(tmp_path / "processes", inputs_for(tmp_path, 1), loaded)
    _, again = read_inputs(tmp_path / "processes")
    assert points_of(again.images[0].target) == points_of(loaded.images[0].target) == [drawn]


def test_half_a_message_waits_for_its_end(tmp_path):
    say(tmp_path, "warning", message="ä")
    with (tmp_path / "messages.jsonl").open("ab") as stream:
        stream.write(b'{"kind": "ep')
    assert read_messages(tmp_path) == [{"kind": "warning", "message": "ä"}]


class OutOfMemoryOnce(Observer):
    """Hears, as soon as there are several processes, that one of them has no memory left."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.has_failed = folder, False

    def stop_requested(self):
        if not self.has_failed and (self.folder / "processes" / "inputs.pt").exists():
            self.has_failed = True
            raise OutOfMemory("cuda:1 has no memory left")
        return super().stop_requested()


def test_out_of_memory_in_one_of_them_goes_on_in_a_single_one(tmp_path):
    observer = OutOfMemoryOnce(tmp_path)
    outcome = train_version(inputs_for(tmp_path, params=replace(PARAMS, epochs=1)), observer)
    assert outcome.card.facts["processes"] == 1
    assert observer.has_failed
    assert any("single one" in warning for warning in observer.warnings)


@pytest.mark.slow
@pytest.mark.timeout(900)  # two processes wait for each other at every step, and long on a busy machine
class TestTwoProcesses:
    """Really started, with the gloo backend on the CPU."""

    def test_the_result_is_that_of_one_within_noise(self, tmp_path):
        one, two = Observer(), Observer()
        alone = train_version(inputs_for(tmp_path / "one", processes=1), one)
        shared = train_version(inputs_for(tmp_path / "two"), two)
        assert (alone.card.facts["processes"], shared.card.facts["processes"]) == (1, 2)
        assert [report.epoch for report in two.reports] == [1, 2, 3, 4, 5, 6]
        for mine, theirs in zip(one.reports, two.reports, strict=True):
            assert theirs.loss == pytest.approx(mine.loss, rel=0.35)
        assert two.reports[-1].loss < 0.8 * two.reports[0].loss
        assert (
            abs(shared.card.facts["images_seen"] - alone.card.facts["images_seen"])
            <= 0.1 * alone.card.facts["images_seen"]
        )
        assert json.loads((shared.folder / "card.json").read_text())["processes"] == 2
        assert load_predictor(shared.folder).labels == ("red", "blue")
        assert not (tmp_path / "two" / "processes").exists()

    def test_paused_it_goes_on_in_one_process_and_the_other_way_round(self, tmp_path):
        with pytest.raises(TrainingPaused):
            train_version(inputs_for(tmp_path), Observer(stop="pause", stop_after=2))
        with pytest.raises(TrainingPaused):
            observer = Observer(stop="pause", stop_after=1)
            train_version(inputs_for(tmp_path, processes=1), observer)
        assert observer.reports[0].epoch >= 3
        last = Observer()
        train_version(inputs_for(tmp_path), last)
        assert last.reports[0].epoch > observer.reports[-1].epoch - 1
        assert last.reports[-1].epoch == 6

    def test_keeping_on_stop_keeps_what_there_is(self, tmp_path):
        params = replace(PARAMS, epochs=200)
        outcome = train_version(inputs_for(tmp_path, params=params), Observer(stop="keep"))
        assert outcome.stopped_early_by == "user"
        assert 1 <= outcome.card.facts["epochs_run"] < 200

    def test_an_error_comes_back_as_what_it_was(self, tmp_path):
        (tmp_path / "v0").mkdir()
        with pytest.raises(VersionError):
            train_version(inputs_for(tmp_path / "work", start_folder=tmp_path / "v0"), Observer())

    def test_processes_that_die_fail_the_training_in_plain_words(self, tmp_path, caplog):
        inputs = inputs_for(tmp_path, seed="no number, so that they die before they can say why")
        with pytest.raises(TrainingError, match="TRAIN_PROCESSES=1"):
            learn_in_processes(inputs, run._load(inputs, staged()), staged(), 2)
        assert "Traceback" in caplog.text


def test_nothing_to_learn_is_said_before_anything_is_started(tmp_path):
    with pytest.raises(NotEnoughData):
        train_version(inputs_for(tmp_path, 0), Observer())
