from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from backend.core.answers.scales import Scale
from backend.core.geometry.instances import Attributes, ImageSize, MaskPatch, TrainingTarget
from backend.errors import (
    FetchError,
    LossDiverged,
    NotEnoughData,
    OutOfMemory,
    TrainingStopped,
    VersionError,
)
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.catalog import HEADS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import WEIGHTS_FILE, load_predictor, read_card
from backend.training.detector.loop import TrainingLoop
from backend.training.inputs import Stage, TrainingInputs, TrainingPaused, TrainingSample
from backend.training.parameters import TrainingParams
from backend.training.run import train_version
from tests.learning_heads import (
    ChoiceHead,
    DivergingBoxes,
    HungryBoxes,
    ScriptedBoxes,
    UnjudgedBoxes,
    WatchingBoxes,
)
from tests.learning_scenes import QUICK, Observer, sample, scene

PARAMS = TrainingParams(epochs=2, image_size=224, pretrained=False, backbone="test_resnet", batch_size=4)


def inputs_for(tmp_path, samples, params=PARAMS, **kwargs):
    return TrainingInputs(samples, ("red", "blue"), params, tmp_path, **{"recipe": QUICK, **kwargs})


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_a_version_folder_rebuilds_the_predictor(tmp_path):
    observer = Observer()
    outcome = train_version(inputs_for(tmp_path, [sample(i) for i in range(4)]), observer)
    card = read_card(outcome.folder)
    assert card.labels == ("red", "blue")
    assert card.facts["start"] == "random weights"
    assert card.facts["images_seen"] == 8
    assert "too few images" in card.warnings[0]
    assert [r.epoch for r in observer.reports] == [1, 2]
    assert list(dict.fromkeys(told.stage for told in observer.progress)) == [
        Stage.LOAD, Stage.TRAIN, Stage.JUDGE, Stage.WRITE
    ]  # fmt: skip
    fractions = [told.fraction for told in observer.progress]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert "smart_tools" not in card.facts
    assert card.facts["empty_share"] == 0.1  # none of four was empty, which proves little
    predictor = load_predictor(outcome.folder)
    images = [scene(9)[0], scene(8, size_wh=(40, 90))[0]]
    found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
    assert [(d.size.width, d.size.height) for d in found] == [(96, 64), (40, 90)]
    assert sorted(p.name for p in outcome.folder.iterdir()) == ["card.json", "weights.safetensors"]


@pytest.mark.parametrize("switch", [True, False])
def test_mirror_images_are_looked_at_where_wanted(tmp_path, switch):
    params = replace(PARAMS, mirrored_view=switch, epochs=4, learning_rate=0.02)
    folder = train_version(inputs_for(tmp_path, [sample(i) for i in range(4)], params), Observer()).folder
    assert read_card(folder).facts["mirrored_view"] is switch
    image = scene(9)[0]
    images = [image, np.ascontiguousarray(image[:, ::-1])]
    plain, mirrored = load_predictor(folder).predict(images, confidence_threshold=0.01, nms_threshold=0.4)
    assert len(plain) and (plain.image_score == pytest.approx(mirrored.image_score, abs=1e-6)) is switch


def test_mirror_images_are_not_looked_at_where_no_view_was_mirrored(tmp_path):
    recipe = replace(QUICK, augmentation=replace(QUICK.augmentation, flip_horizontal=0.0))
    outcome = train_version(inputs_for(tmp_path, [sample(0)], recipe=recipe), Observer())
    assert outcome.card.params["mirrored_view"] and not outcome.card.facts["mirrored_view"]


def test_tuning_the_smart_tools_is_a_stage_with_its_share_and_time(tmp_path):
    observer = Observer()
    recipe = replace(QUICK, tuning_seconds_min=1.0)
    outcome = train_version(inputs_for(tmp_path, [sample(i) for i in range(2)], recipe=recipe), observer)
    assert outcome.card.facts["smart_tools"]["tuned"]
    stages = list(dict.fromkeys(told.stage for told in observer.progress))
    assert stages == [Stage.LOAD, Stage.TRAIN, Stage.JUDGE, Stage.TUNE, Stage.WRITE]
    last_epoch = [told for told in observer.progress if told.stage is Stage.TRAIN][-1]
    assert last_epoch.fraction < 1 and last_epoch.seconds_left == 1.0
    tuning = [told for told in observer.progress if told.stage is Stage.TUNE]
    assert last_epoch.fraction <= tuning[0].fraction <= tuning[-1].fraction < 1
    assert 1.0 >= tuning[0].seconds_left >= tuning[-1].seconds_left


def test_where_no_label_has_a_shape_no_time_is_foreseen_for_tuning(tmp_path):
    observer = Observer()
    samples = [sample(i, with_masks=False) for i in range(2)]
    recipe = replace(QUICK, tuning_seconds_min=30.0)
    outcome = train_version(inputs_for(tmp_path, samples, recipe=recipe), observer)
    assert observer.reports[-1].seconds_left == 0
    assert "no label has a mask" in outcome.card.facts["smart_tools"]["why"]


def test_with_enough_images_some_are_held_out_and_scores_are_judged(tmp_path):
    outcome = train_version(inputs_for(tmp_path, [sample(i) for i in range(22)]), Observer())
    assert outcome.card.facts["held_out_images"] == 2
    assert outcome.card.evaluation.images == 2
    shown = {image.task_id for image in outcome.card.evaluation.worst}
    assert shown and shown <= set(range(22))
    assert outcome.card.facts["training_images"] == 20
    assert {"box_map50", "mask_map50", "precision", "recall"} <= set(outcome.metrics)


def test_images_that_join_late_teach_in_the_end(tmp_path):
    watching = WatchingBoxes()
    samples = [sample(i) for i in range(10)]
    samples = [replace(s, target=replace(s.target, extras={"boxes": [i]})) for i, s in enumerate(samples)]
    inputs = inputs_for(tmp_path, samples, replace(PARAMS, epochs=5))
    outcome = train_version(inputs, Observer(), heads=(watching,))
    per_epoch = len(watching.seen) // 5
    shown = [frozenset().union(*watching.seen[e * per_epoch : (e + 1) * per_epoch]) for e in range(5)]
    assert [len(images) for images in shown] == [8, 8, 8, 10, 10]
    assert outcome.card.facts["training_images"] == 10
    assert outcome.card.facts["late_images"] == 2
    assert outcome.card.facts["held_out_images"] == 0
    again = replace(inputs_for(tmp_path / "b", [sample(i) for i in range(10)]), start_folder=outcome.folder)
    assert (
        train_version(again, Observer()).card.facts["late_images"] == 0
    )  # it has learned from all of them before


def test_a_training_stopped_before_all_have_joined_says_so(tmp_path):
    params = replace(PARAMS, epochs=50)
    stopped = train_version(
        inputs_for(tmp_path, [sample(i) for i in range(10)], params), Observer(stop="keep")
    )
    assert stopped.card.facts["training_images"] == 8
    assert "stopped before 2 images joined" in stopped.card.warnings[0]


def test_a_training_stopped_just_after_all_have_joined_has_learned_from_all(tmp_path):
    params = replace(PARAMS, epochs=5)
    observer = Observer(stop="keep", stop_after=3)
    stopped = train_version(inputs_for(tmp_path, [sample(i) for i in range(10)], params), observer)
    assert stopped.card.facts["epochs_run"] == 3
    assert stopped.card.facts["training_images"] == 10
    assert not any("stopped before" in warning for warning in stopped.card.warnings)


def test_a_single_epoch_waits_for_nobody(tmp_path):
    samples = [sample(i) for i in range(10)]
    outcome = train_version(inputs_for(tmp_path, samples, replace(PARAMS, epochs=1)), Observer())
    assert outcome.card.facts["training_images"] == 10
    assert outcome.card.facts["late_images"] == 0
    assert "all were learned from" in outcome.card.warnings[0]


def test_an_earlier_epoch_is_kept_only_where_it_is_surely_better(tmp_path):
    def last_epoch_kept(folder, box_map_by_epoch):
        params, recipe = replace(PARAMS, epochs=4), replace(QUICK, early_share=0.0)
        inputs = inputs_for(tmp_path / folder, [sample(i) for i in range(20)], params, recipe=recipe)
        heads = (ScriptedBoxes(box_map_by_epoch),)
        return train_version(inputs, Observer(), heads).card.facts["best_epoch"]

    # Four objects are held out here, of which one found by luck makes a quarter.
    assert last_epoch_kept("luck", [0.5, 0.7, 0.5, 0.5]) == 4
    assert last_epoch_kept("sure", [0.5, 0.9, 0.5, 0.5]) == 2


def test_where_held_out_images_say_nothing_the_last_epoch_is_kept(tmp_path):
    recipe = replace(QUICK, held_out_min_images=6)
    inputs = inputs_for(tmp_path, [sample(i) for i in range(6)], recipe=recipe)
    card = train_version(inputs, Observer(), (UnjudgedBoxes(),)).card
    assert (card.facts["held_out_images"], card.facts["best_epoch"]) == (2, 2)


@pytest.mark.slow
def test_one_image_can_be_learned_by_heart(tmp_path):
    params = replace(PARAMS, epochs=80, batch_size=4, backbone="resnet10t")
    one = sample(3)
    outcome = train_version(inputs_for(tmp_path, [one], params), Observer())
    found = load_predictor(outcome.folder).predict(
        [one.load_rgb()], confidence_threshold=0.1, nms_threshold=0.4
    )[0]
    assert found.label_indices[:2].tolist() in ([0, 1], [1, 0])
    for label in (0, 1):
        mine = int(np.flatnonzero(found.label_indices == label)[0])
        wanted = one.target.masks[label].full(one.target.size)
        got = found.masks[mine].full(one.target.size)
        assert (wanted & got).sum() / (wanted | got).sum() > 0.6


@pytest.mark.parametrize(
    "kwargs",
    [
        {"count": 1},
        {"with_masks": False},
        {"size_wh": (400, 30)},
        {"size_wh": (700, 500), "count": 1},
    ],
    ids=["one-label", "rectangles-only", "elongated", "large"],
)
def test_odd_data_trains(tmp_path, kwargs):
    outcome = train_version(
        inputs_for(tmp_path, [sample(i, **kwargs) for i in range(2)], replace(PARAMS, epochs=1)), Observer()
    )
    masks = ["masks"] if kwargs.get("with_masks", True) else []
    assert outcome.card.facts["architecture"]["heads"] == ["boxes", *masks]


def test_background_images_teach_too(tmp_path):
    samples = [sample(0), sample(1, count=0), sample(2, count=0)]
    outcome = train_version(inputs_for(tmp_path, samples, replace(PARAMS, epochs=1)), Observer())
    assert outcome.card.facts["training_images"] == 3
    assert outcome.card.facts["images_seen"] == 4
    assert outcome.card.facts["empty_share"] > 0.5


def test_one_pixel_high_image_predicts(tmp_path):
    outcome = train_version(inputs_for(tmp_path, [sample(0)], replace(PARAMS, epochs=1)), Observer())
    found = load_predictor(outcome.folder).predict(
        [np.zeros((1, 300, 3), np.uint8)], confidence_threshold=0.01, nms_threshold=0.4
    )
    assert found[0].size.height == 1


def test_segmentation_switched_off_gives_no_masks(tmp_path):
    params = replace(PARAMS, epochs=1, enable_segmentation=False)
    outcome = train_version(inputs_for(tmp_path, [sample(0)], params), Observer())
    found = load_predictor(outcome.folder).predict(
        [scene(0)[0]], confidence_threshold=0.01, nms_threshold=0.4
    )
    assert outcome.card.facts["architecture"]["heads"] == ["boxes"]
    assert set(found[0].masks) <= {None}


def test_unreadable_images_cost_only_themselves(tmp_path):
    def refuse():
        raise FetchError("gone")

    observer = Observer()
    bad = replace(sample(1), load_rgb=refuse)
    outcome = train_version(inputs_for(tmp_path, [sample(0), bad], replace(PARAMS, epochs=1)), observer)
    assert outcome.card.facts["unreadable_images"] == 1
    assert any("task 1: gone" in w for w in observer.warnings)


def test_objects_of_which_nothing_is_left_at_the_size_of_training_are_counted_and_named(tmp_path):
    image, target = scene(0, size_wh=(1200, 800))
    boxes = np.concatenate([target.boxes_xyxy_px, [[5, 5, 7, 7]]]).astype(np.float32)
    labels = np.append(target.label_indices, 0)
    small = replace(target, boxes_xyxy_px=boxes, label_indices=labels, masks=(*target.masks, None))
    one = TrainingSample(0, lambda: image, small)
    observer = Observer()
    train_version(inputs_for(tmp_path, [one], replace(PARAMS, epochs=1, tiles="off")), observer)
    [said] = [warning for warning in observer.warnings if "half a pixel" in warning]
    assert said.startswith("1 object is") and "image_size 224" in said


def hair(size_wh=(1200, 800)):
    """A picture with one diagonal line, a pixel wide."""
    image, _ = scene(0, size_wh=size_wh)
    line = MaskPatch(100, 100, np.eye(600, dtype=np.bool_))
    boxes, labels = np.array([[100, 100, 700, 700]], np.float32), np.zeros(1, np.int64)
    return TrainingSample(0, lambda: image, TrainingTarget(ImageSize(*size_wh), boxes, labels, (line,)))


@pytest.mark.parametrize("switch", [True, False])
def test_shapes_too_thin_to_be_learned_are_counted_and_named_where_shapes_are_wanted(tmp_path, switch):
    observer = Observer()
    params = replace(PARAMS, epochs=1, tiles="off", enable_segmentation=switch)
    train_version(inputs_for(tmp_path, [hair(), sample(1)], params), observer)
    said = [warning for warning in observer.warnings if "half a pixel thick" in warning]
    assert [warning.startswith("1 object keeps") for warning in said] == [True] * switch


def test_what_is_said_of_an_object_of_which_nothing_is_left_costs_no_training(tmp_path):
    image, target = scene(0, size_wh=(1200, 800))
    speck = replace(
        target,
        boxes_xyxy_px=np.concatenate([target.boxes_xyxy_px, [[5, 5, 7, 7]]]).astype(np.float32),
        label_indices=np.append(target.label_indices, 0),
        masks=(*target.masks, None),
        attributes=(*[None] * len(target), Attributes({"weight": 3.0}, (0.002, 0.002))),
    )
    params = replace(PARAMS, epochs=1, tiles="off")
    inputs = inputs_for(tmp_path, [TrainingSample(0, lambda: image, speck)], params)
    inputs = replace(inputs, asked={"attributes": {"weight": Scale().as_json()}})
    outcome = train_version(inputs, Observer())
    assert outcome.card.facts["architecture"]["heads"] == ["boxes", "masks"]


@pytest.mark.parametrize("samples", [[], [sample(0, count=0)]], ids=["no-images", "no-regions"])
def test_nothing_to_learn_from_is_said(tmp_path, samples):
    with pytest.raises(NotEnoughData):
        train_version(inputs_for(tmp_path, samples), Observer())


def test_keeping_on_stop_publishes_what_there_is(tmp_path):
    params = replace(PARAMS, epochs=50)
    outcome = train_version(inputs_for(tmp_path, [sample(0)], params), Observer(stop="keep"))
    assert outcome.stopped_early_by == "user"
    assert outcome.card.facts["epochs_run"] == 1
    load_predictor(outcome.folder)


@pytest.mark.parametrize(("stop", "error"), [("pause", TrainingPaused), ("keep", TrainingStopped)])
def test_a_stop_while_images_are_read_is_obeyed_and_accuses_no_image(tmp_path, stop, error):
    observer = Observer(stop=stop, stop_after=0)
    with pytest.raises(error):
        train_version(inputs_for(tmp_path, [sample(i) for i in range(4)]), observer)
    assert not observer.warnings


def test_keeping_while_images_are_read_again_keeps_what_was_learned_before(tmp_path):
    recipe = replace(QUICK, checkpoint_share=1e9)
    inputs = inputs_for(tmp_path, [sample(0), sample(1)], replace(PARAMS, epochs=50), recipe=recipe)
    with pytest.raises(TrainingPaused):
        train_version(inputs, Observer(stop="pause", stop_after=2))
    outcome = train_version(inputs, Observer(stop="keep", stop_after=0))
    assert outcome.card.facts["epochs_run"] == 2


def test_patience_ends_no_training_by_epochs_that_nobody_judged(tmp_path):
    recipe = replace(QUICK, early_share=0.0, patience_share=0.1, patience_min=1, judging_share=1e-6)
    inputs = inputs_for(tmp_path, [sample(i) for i in range(20)], replace(PARAMS, epochs=6), recipe=recipe)
    loop_of = TrainingLoop.__init__

    def judging_every_third(self, *args, **kwargs):
        loop_of(self, *args, **kwargs)
        self._judge_every = 3

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingLoop, "__init__", judging_every_third)
        outcome = train_version(inputs, Observer(), (ScriptedBoxes([0.5, 0.6]),))
    assert outcome.card.facts["epochs_run"] == 6


def test_discarding_on_stop_leaves_no_version(tmp_path):
    with pytest.raises(TrainingStopped):
        train_version(inputs_for(tmp_path, [sample(0)]), Observer(stop="discard"))


def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path):
    recipe = replace(QUICK, checkpoint_share=1e9)
    samples = [sample(i) for i in range(4)]
    params = replace(PARAMS, epochs=4)
    whole = train_version(inputs_for(tmp_path / "a", samples, params, recipe=recipe), Observer())
    with pytest.raises(TrainingPaused):
        train_version(
            inputs_for(tmp_path / "b", samples, params, recipe=recipe), Observer(stop="pause", stop_after=2)
        )
    observer = Observer()
    resumed = train_version(inputs_for(tmp_path / "b", samples, params, recipe=recipe), observer)
    assert [r.epoch for r in observer.reports] == [3, 4]
    assert resumed.card.facts["images_seen"] == whole.card.facts["images_seen"]
    assert [row["epoch"] for row in resumed.card.facts["history"]] == [
        row["epoch"] for row in whole.card.facts["history"]
    ]
    # Two epochs are so few that a lost state of the optimizer would move no weight by a hundredth.
    torch.testing.assert_close(
        load_file(resumed.folder / WEIGHTS_FILE), load_file(whole.folder / WEIGHTS_FILE), atol=1e-5, rtol=1e-3
    )


def test_a_resumed_training_says_of_its_start_what_was_true_when_it_started(tmp_path):
    weights = tmp_path / "test_resnet.pth"
    torch.save(
        InstanceNetwork(Architecture("test_resnet", 96, 2, HEADS[:1])).backbone.body.state_dict(), weights
    )
    params = replace(PARAMS, pretrained=True)
    recipe = replace(QUICK, checkpoint_share=1e9)
    inputs = inputs_for(tmp_path / "job", [sample(0)], params, recipe=recipe, pretrained_path=weights)
    with pytest.raises(TrainingPaused):
        train_version(inputs, Observer(stop="pause"))
    weights.unlink()
    observer = Observer()
    card = train_version(inputs, observer).card
    assert "test_resnet.pth" in card.facts["start"]
    assert not any("could not be had" in said for said in (*card.warnings, *observer.warnings))


def test_a_checkpoint_of_other_data_is_not_resumed(tmp_path):
    recipe = replace(QUICK, checkpoint_share=1e9)
    with pytest.raises(TrainingPaused):
        train_version(inputs_for(tmp_path, [sample(0)], recipe=recipe), Observer(stop="pause"))
    observer = Observer()
    train_version(inputs_for(tmp_path, [sample(0), sample(1)], recipe=recipe), observer)
    assert observer.reports[0].epoch == 1
    assert any("begins anew" in warning for warning in observer.warnings)


CPU_OUT_OF_MEMORY = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
GPU_OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("error", [CPU_OUT_OF_MEMORY, GPU_OUT_OF_MEMORY], ids=["cpu", "gpu"])
def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path, error):
    observer = Observer()
    inputs = inputs_for(tmp_path, [sample(i) for i in range(4)])
    outcome = train_version(inputs, observer, heads=(HungryBoxes(2, error),))
    assert outcome.card.facts["batch_size"] == 2
    assert any("halved to 2" in w for w in observer.warnings)
    assert outcome.card.facts["images_seen"] == 8


def test_out_of_memory_at_one_image_says_memory(tmp_path):
    with pytest.raises(OutOfMemory, match="memory"):
        heads = (HungryBoxes(0, CPU_OUT_OF_MEMORY),)
        train_version(inputs_for(tmp_path, [sample(0)]), Observer(), heads)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path):
    with pytest.raises(LossDiverged, match="learning_rate"):
        train_version(inputs_for(tmp_path, [sample(0)]), Observer(), heads=(DivergingBoxes(),))


def test_a_version_can_be_the_start_and_labels_go_by_name(tmp_path):
    first = train_version(inputs_for(tmp_path / "a", [sample(0)]), Observer())
    inputs = replace(inputs_for(tmp_path / "b", [sample(0)]), labels=("green", "red"))
    second = train_version(replace(inputs, start_folder=first.folder), Observer())
    assert second.card.facts["start"].startswith("version")


def test_what_the_start_has_learned_from_and_what_cannot_be_read_is_not_held_out(tmp_path):
    def refuse():
        raise FetchError("gone")

    samples = [sample(i) for i in range(24)]
    held_out = train_version(inputs_for(tmp_path / "a", samples), Observer()).card.held_out_tasks
    known, gone = held_out[0], held_out[1]
    others = [replace(one, load_rgb=refuse) if one.task_id == gone else one for one in samples]
    inputs = inputs_for(tmp_path / "b", others, known_tasks=frozenset([known]))
    card = train_version(inputs, Observer()).card
    assert card.is_held_out_of_start
    assert len(card.held_out_tasks) == card.facts["held_out_images"] >= 2
    assert not {known, gone} & set(card.held_out_tasks)


def test_a_start_version_with_another_backbone_is_refused(tmp_path):
    first = train_version(inputs_for(tmp_path / "a", [sample(0)]), Observer())
    params = replace(PARAMS, backbone="test_byobnet")
    with pytest.raises(VersionError, match="test_resnet"):
        train_version(
            replace(inputs_for(tmp_path / "b", [sample(0)], params), start_folder=first.folder), Observer()
        )


def test_a_head_that_the_backend_has_never_seen_trains_predicts_and_is_judged(tmp_path):
    def picture(task_id):
        """One of two choices: dark pictures, and bright ones."""
        image, target = scene(task_id)
        choice = task_id % 2
        image = np.clip(image.astype(int) + 120 * choice, 0, 255).astype(np.uint8)
        target = replace(target, extras={"choice": choice})
        return TrainingSample(task_id, lambda: image, target)

    heads = (*HEADS, ChoiceHead())
    params = replace(PARAMS, epochs=6, learning_rate=0.01)
    inputs = inputs_for(tmp_path, [picture(i) for i in range(20)], params)
    outcome = train_version(inputs, Observer(), heads)
    assert outcome.card.facts["architecture"]["heads"] == ["boxes", "masks", "choice"]
    assert outcome.card.facts["choice_names"] == ["dark", "bright"]
    assert {"choice_accuracy", "box_map50", "mask_map50"} <= set(outcome.metrics)
    predictor = load_predictor(outcome.folder, heads=heads)
    images = [picture(i).load_rgb() for i in range(40, 46)]
    found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
    assert [one.extras["choice"] for one in found] == ["dark", "bright"] * 3
    assert any(len(one) for one in found)
    with pytest.raises(VersionError, match="no head named choice"):
        load_predictor(outcome.folder)


def test_a_new_head_can_be_learned_alone(tmp_path):
    target = replace(scene(0)[1], extras={"choice": 0})
    one = replace(sample(0), target=target)
    heads = (ChoiceHead(),)
    outcome = train_version(inputs_for(tmp_path, [one]), Observer(), heads)
    (found,) = load_predictor(outcome.folder, heads=heads).predict(
        [one.load_rgb()], confidence_threshold=0.3, nms_threshold=0.4
    )
    assert len(found) == 0 and found.extras["choice"] in ("dark", "bright")
