from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import backend.training.prompts.tuning as tuning
from backend.core.geometry.instances import ImageSize, MaskPatch, TrainingTarget
from backend.errors import ImageNotFound, TrainingStopped
from backend.nn.prompts.network import PromptNetwork
from backend.nn.prompts.segmenter import PROMPT_WEIGHTS_FILE, load_segmenter
from backend.training.detector.images import CachedImage
from backend.training.inputs import Stage, TrainingInputs, TrainingProgress, TrainingSample
from backend.training.parameters import TrainingParams
from backend.training.progress import StagedObserver
from backend.training.prompts.annotators import (
    MaskedObject,
    innermost_point,
    jittered_box,
    mask_box,
    next_round,
    start_sample,
)
from backend.training.prompts.batches import SampleStream, WeightAverage, rate_groups, train_step
from backend.training.prompts.loss import expected_overlap
from backend.training.prompts.tuning import train_prompt_head
from backend.training.recipe import RECIPE


def blob(seed: int = 0) -> MaskedObject:
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:90, :120]
    mask = ((xs - rng.integers(40, 80)) / 25) ** 2 + ((ys - 45) / 18) ** 2 < 1
    image = np.clip(rng.normal(90, 10, (90, 120, 3)), 0, 255).astype(np.uint8)
    image[mask] = (230, 60, 60)
    return MaskedObject(image, mask)


class Observer:
    """Asks to stop after some looks."""

    def __init__(self, wish: str | None = None, after: int = 0):
        self.wish, self.left = wish, after
        self.warnings: list[str] = []
        self.progress: list[TrainingProgress] = []

    def on_progress(self, progress):
        self.progress.append(progress)

    def on_epoch(self, report):
        raise AssertionError("the tuning reports no epochs")

    def on_warning(self, message):
        self.warnings.append(message)

    def stop_requested(self):
        self.left -= 1
        return self.wish if self.left < 0 else None


def staged(observer: Observer) -> StagedObserver:
    return StagedObserver(observer, RECIPE.tuning_seconds)


def inputs(folder: Path, count: int = 4, *, with_masks: bool = True, fails: bool = False) -> TrainingInputs:
    samples = []
    for k in range(count):
        target = blob(k)

        def load(image=target.image):
            if fails:
                raise ImageNotFound("gone")
            return image

        mask = MaskPatch.from_full(target.mask) if with_masks else None
        box = mask_box(target.mask)[None]
        truth = TrainingTarget(ImageSize(120, 90), box, np.zeros(1, np.int64), (mask,))
        samples.append(TrainingSample(k, load, truth))
    return TrainingInputs(samples, ("Cat",), TrainingParams(pretrained=False), folder / "work")


def test_pictures_are_read_one_after_the_other_and_not_kept_at_their_own_size(tmp_path):
    alive = set()

    def load():
        assert not alive
        pixels = np.zeros((900, 1200, 3), np.uint8)
        alive.add(id(pixels))
        weakref.finalize(pixels, alive.clear)
        return pixels

    given = inputs(tmp_path)
    given = replace(given, samples=[replace(one, load_rgb=load) for one in given.samples])
    card = train_prompt_head(given, staged(Observer("keep")), tmp_path)
    assert card["smart_tools"]["objects"] == 4


def test_asked_to_stop_it_ends_with_what_it_has(tmp_path):
    observer = Observer("keep", after=2)
    card = train_prompt_head(inputs(tmp_path), staged(observer), tmp_path)
    entry = card["smart_tools"]
    assert entry["tuned"] and entry["steps"] == 2 and entry["objects"] == 4
    assert (tmp_path / PROMPT_WEIGHTS_FILE).exists() and not observer.warnings
    assert [told.stage for told in observer.progress] == [Stage.TUNE] * 3
    assert observer.progress[0].seconds_left > observer.progress[-1].seconds_left > 0
    load_segmenter(tmp_path)


@pytest.mark.parametrize("is_faster", [True, False])
def test_it_computes_in_the_precision_that_this_machine_is_faster_in(tmp_path, monkeypatch, is_faster):
    precisions = set()

    def forward(self, image, prompts):
        precisions.add(torch.is_autocast_enabled("cpu"))
        return original(self, image, prompts)

    original = PromptNetwork.forward
    monkeypatch.setattr(PromptNetwork, "forward", forward)
    monkeypatch.setattr(tuning, "is_bf16_faster", lambda device: is_faster)
    train_prompt_head(inputs(tmp_path), staged(Observer("keep", after=2)), tmp_path)
    assert precisions == {is_faster}


def test_discarding_ends_the_training(tmp_path):
    with pytest.raises(TrainingStopped):
        train_prompt_head(inputs(tmp_path), staged(Observer("discard")), tmp_path)


def test_rectangles_alone_teach_no_mask(tmp_path):
    card = train_prompt_head(inputs(tmp_path, with_masks=False), staged(Observer()), tmp_path)
    assert not card["smart_tools"]["tuned"] and not (tmp_path / PROMPT_WEIGHTS_FILE).exists()


def test_unreadable_images_cost_the_tuning_only(tmp_path):
    card = train_prompt_head(inputs(tmp_path, fails=True), staged(Observer()), tmp_path)
    assert not card["smart_tools"]["tuned"]


def test_a_failure_becomes_a_warning_and_the_shipped_weights_serve(tmp_path):
    observer = Observer("keep")
    card = train_prompt_head(
        inputs(tmp_path, count=30), staged(observer), tmp_path
    )  # no detector to judge beside
    assert not card["smart_tools"]["tuned"] and len(observer.warnings) == 1
    assert not (tmp_path / PROMPT_WEIGHTS_FILE).exists()


def test_innermost_points_and_jittered_boxes_belong_to_the_object():
    target = blob()
    x, y = innermost_point(target.mask)
    assert target.mask[int(y), int(x)]
    edge = np.zeros((5, 5), bool)
    edge[:, 0] = True
    assert innermost_point(edge)[0] == 0.5
    box = mask_box(target.mask)
    moved = np.stack([jittered_box(np.random.default_rng(k), box, 0.05) for k in range(200)])
    assert np.abs(moved.mean(axis=0) - box).max() < 1.0
    assert (moved[:, 2:] > moved[:, :2]).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_simulated_annotator_clicks_where_it_is_wrong(seed):
    rng = np.random.default_rng(seed)
    sample = start_sample(rng, blob(seed), prior_share=0.5)
    for x, y in sample.positive_px:
        assert sample.target.mask[int(y), int(x)]
    sample.rounds_left = 4
    pixels, prompts = sample.inputs(64)
    assert pixels.shape == (64, 64, 3) and prompts.shape == (5, 64, 64)
    assert prompts[:4].any() or sample.outside_share() > 0
    nothing = np.zeros((64, 64), np.float32)
    while next_round(rng, sample, nothing):
        for x, y in sample.negative_px:
            assert not sample.target.mask[int(y), int(x)]
        for x, y in sample.positive_px:
            assert sample.target.mask[int(y), int(x)]
        assert sample.truth(64).max() <= 1.0 and 0.0 <= sample.outside_share() <= 1.0


def beside(gap_px: int) -> MaskedObject:
    """Return a square with another like it, so many pixels to its right."""
    mask, other = np.zeros((100, 200), bool), np.zeros((100, 200), bool)
    mask[40:60, 20:40] = True
    other[40:60, 40 + gap_px : 60 + gap_px] = True
    return MaskedObject(np.zeros((100, 200, 3), np.uint8), mask, (other,))


@pytest.mark.parametrize(("gap_px", "is_taken_too"), [(2, True), (40, False)])
def test_a_simulated_detector_takes_neighbours_for_one_object_now_and_then(gap_px, is_taken_too):
    target = beside(gap_px)
    taken = 0
    for seed in range(60):
        sample = start_sample(np.random.default_rng(seed), target, prior_share=1.0)
        window, soft = sample.so_far
        x, y = window.to_net([[50 + gap_px, 50]], soft.shape[0])[0]
        reaches = 0 <= x < soft.shape[1] and soft[int(y), int(x)] > 0.5
        taken += reaches
        if reaches and sample.outline_px is None:  # the annotator sees both, so the network must as well
            assert sample.window.left_px + sample.window.side_px > 60 + gap_px
    assert (5 < taken < 40) if is_taken_too else taken == 0


def test_expected_overlap_counts_what_lies_outside_the_window():
    logits = torch.full((2, 1, 4, 4), 3.0)
    truth = torch.ones((2, 1, 4, 4))
    overlap = expected_overlap(logits, truth, torch.tensor([0.0, 0.5]))
    assert overlap.tolist() == pytest.approx([1.0, 0.5])


def test_a_few_steps_learn_one_object():
    torch.manual_seed(0)

    def objects():
        while True:
            yield blob()

    network = PromptNetwork().train()
    optimiser = torch.optim.AdamW(rate_groups(network, 5e-3, 1e-3))
    stream = SampleStream(objects(), np.random.default_rng(0), 4)
    average = WeightAverage(network, 0.9)
    losses = []
    for _ in range(16):
        losses.append(train_step(network, optimiser, stream, 64, use_bf16=False))
        average.update(network)
    assert np.isfinite(losses).all() and np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert average.steps == 16


def test_an_image_of_hundreds_of_objects_shows_the_nearest_ones_beside_each():
    places = [(16 * (k % 20), 16 * (k // 20)) for k in range(300)]
    boxes = np.array([[x, y, x + 8, y + 8] for x, y in places], np.float32)
    masks = tuple(MaskPatch(x, y, np.ones((8, 8), bool)) for x, y in places)
    target = TrainingTarget(ImageSize(320, 240), boxes, np.zeros(300, np.int64), masks)
    image = CachedImage(np.zeros((240, 320, 3), np.uint8), target)
    shown = next(tuning._endless([(image, 0)], np.random.default_rng(0)))
    assert 10 <= len(shown.others) <= 60
    assert tuning._alike(target, 0)[0] in (masks[1], masks[20])
    assert masks[299] not in tuning._alike(target, 0)
