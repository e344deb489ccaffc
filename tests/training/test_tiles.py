from dataclasses import replace

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.nn.detector.predictor import load_predictor
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.parameters import TrainingParams
from backend.training.run import train_version
from backend.training.tiles import decide_tiles
from tests.learning_scenes import QUICK, Observer, sample

PARAMS = TrainingParams(epochs=1, image_size=224, pretrained=False, backbone="test_resnet", batch_size=4)


def target(size, side_px, count=10, label=0):
    starts = np.linspace(0, min(size.width, size.height) - side_px, count)
    boxes = np.stack([starts, starts, starts + side_px, starts + side_px], axis=1).astype(np.float32)
    return TrainingTarget(size, boxes, np.full(count, label, np.int64), (None,) * count)


def both(a, b):
    return TrainingTarget(
        a.size,
        np.concatenate([a.boxes_xyxy_px, b.boxes_xyxy_px]),
        np.concatenate([a.label_indices, b.label_indices]),
        (None,) * (len(a) + len(b)),
    )


def decide(*targets, tiles="auto", image_size=416, asked=False):
    return decide_tiles(TrainingParams(tiles=tiles, image_size=image_size), targets, asked=asked)


def test_small_things_in_large_pictures_are_seen_in_tiles_at_a_good_size():
    decision = decide(target(ImageSize(3000, 3000), 32))
    assert decision.reason == "things are 32 px in pictures of 3000: cut into 36 tiles"
    assert len(decision.tiling.views_of(ImageSize(3000, 3000))) == 36
    assert 20 <= 32 * 416 / decision.tiling.side_px <= 28
    assert decision.tiling.overlap * decision.tiling.side_px >= 38
    assert not decision.tiling.has_whole_view


@pytest.mark.parametrize(("side", "longest"), [(66, 640), (130, 480), (26, 640), (300, 4000)])
def test_pictures_whose_things_are_large_enough_stay_whole(side, longest):
    decision = decide(target(ImageSize(longest, longest), side))
    assert decision.tiling is None
    assert decision.reason.endswith("pictures stay whole")


def test_pictures_that_hardly_shrink_stay_whole_however_small_their_things():
    decision = decide(target(ImageSize(640, 512), 15))
    assert decision.tiling is None
    assert "too little is lost" in decision.reason


def test_large_things_beside_small_ones_are_looked_for_in_the_whole_picture():
    size = ImageSize(3000, 3000)
    small, whole = target(size, 10), target(size, 3000, count=3, label=1)
    decision = decide(both(small, whole))
    assert decision.tiling.has_whole_view
    assert decision.tiling.side_px < 300


def test_a_slip_of_two_small_things_cuts_nothing():
    size = ImageSize(3000, 3000)
    assert decide(both(target(size, 400), target(size, 8, count=2, label=1))).tiling is None


def test_what_is_asked_of_whole_pictures_needs_the_whole_view():
    assert decide(target(ImageSize(3000, 3000), 32), asked=True).tiling.has_whole_view


def test_a_user_may_choose():
    large = target(ImageSize(3000, 3000), 32)
    assert decide(large, tiles="off").tiling is None
    chosen = decide(target(ImageSize(400, 400), 130), tiles="1/3").tiling
    assert chosen.share == pytest.approx(1 / 3)
    assert len(chosen.views_of(ImageSize(90, 90))) == len(chosen.views_of(ImageSize(9000, 9000))) >= 9


def test_pictures_without_things_decide_nothing():
    assert decide(target(ImageSize(3000, 3000), 32, count=0)).tiling is None


def test_pictures_of_very_different_sizes_are_cut_by_the_usual_one():
    decision = decide(
        target(ImageSize(30, 30), 10, count=3),
        target(ImageSize(3000, 3000), 30),
        target(ImageSize(3000, 3000), 30),
    )
    assert len(decision.tiling.views_of(ImageSize(3000, 3000))) > 16
    assert len(decision.tiling.views_of(ImageSize(30, 30))) == 1


def inputs_for(tmp_path, samples, **params):
    return TrainingInputs(samples, ("red", "blue"), replace(PARAMS, **params), tmp_path, recipe=QUICK)


def test_a_version_in_tiles_says_so_and_predicts_in_tiles(tmp_path):
    observer = Observer()
    samples = [sample(k, size_wh=(480, 300), count=6) for k in range(2)]
    outcome = train_version(inputs_for(tmp_path, samples), observer)
    (reason,) = observer.tiles
    assert reason.startswith("things are ") and reason.endswith("tiles")
    assert outcome.card.facts["tiles"]["reason"] == reason
    assert outcome.card.facts["most_labelled"] == 6
    assert outcome.card.facts["images_seen"] > 2  # each picture has many places to see
    predictor = load_predictor(outcome.folder)
    assert predictor.in_tiles.tiling.as_card() == outcome.card.facts["tiles"]["tiling"]
    image = samples[0].load_rgb()
    (found,) = predictor.predict([image], confidence_threshold=0.01, nms_threshold=0.4)
    assert found.size == ImageSize(480, 300)
    assert len(found) <= 100


def test_pictures_that_the_labels_would_cut_stay_whole_where_tiles_are_switched_off(tmp_path):
    samples = [sample(k, size_wh=(480, 300), count=6) for k in range(2)]
    outcome = train_version(inputs_for(tmp_path, samples, tiles="off"), Observer())
    assert outcome.card.facts["tiles"]["tiling"] is None
    assert load_predictor(outcome.folder).in_tiles is None


def test_tiles_that_are_switched_off_learn_and_predict_what_no_tiles_would(tmp_path):
    samples = [sample(k) for k in range(3)]
    found = []
    for tiles in ("off", "auto"):
        outcome = train_version(inputs_for(tmp_path / tiles, samples, tiles=tiles), Observer())
        predictor = load_predictor(outcome.folder)
        assert predictor.in_tiles is None
        found.append(
            predictor.predict([samples[0].load_rgb()], confidence_threshold=0.01, nms_threshold=0.4)[0]
        )
    np.testing.assert_array_equal(found[0].boxes_xyxy_px, found[1].boxes_xyxy_px)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)


def oddly_sized(number, size_wh, boxes, *, recorded=None):
    image = np.random.default_rng(number).integers(0, 255, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    size = ImageSize(*(recorded or size_wh))
    target = TrainingTarget(
        size, np.array(boxes, np.float32).reshape(-1, 4), np.zeros(len(boxes), np.int64), (None,) * len(boxes)
    )
    return TrainingSample(number, lambda: image, target)


@pytest.mark.slow
def test_pictures_of_any_size_and_shape_are_learned_and_predicted(tmp_path):
    small = [[x, 40, x + 10, 50] for x in range(0, 480, 60)]
    samples = [
        oddly_sized(1, (500, 500), [*small, [0, 0, 500, 500]]),
        oddly_sized(2, (3_000, 1), [[100, 0, 140, 1]]),
        oddly_sized(3, (1, 1), []),
        oddly_sized(4, (7, 7), [[1, 1, 5, 5]]),
        oddly_sized(5, (250, 250), small, recorded=(500, 500)),
    ]
    outcome = train_version(inputs_for(tmp_path, samples), Observer())
    assert outcome.card.facts["tiles"]["tiling"]["has_whole_view"]
    predictor = load_predictor(outcome.folder)
    images = [one.load_rgb() for one in samples]
    found = predictor.predict(images, confidence_threshold=0.01, nms_threshold=0.4)
    for one, image in zip(found, images, strict=True):
        assert (one.size.height, one.size.width) == image.shape[:2]
        assert (one.boxes_xyxy_px[:, 2] <= one.size.width).all()
        assert (one.boxes_xyxy_px[:, 3] <= one.size.height).all()
