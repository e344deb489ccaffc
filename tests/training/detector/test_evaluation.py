import numpy as np
import pytest

from backend.errors import OutOfMemory
from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.training.detector.evaluation import (
    SURELY_BETTER,
    measured,
    predict_images,
    scored_head,
    surely_better,
)
from backend.training.detector.images import CachedImage
from tests.learning_found import detections, target


@pytest.mark.parametrize(
    ("counts", "equal"), [([], 1), ([6], 6), ([50, 50], 100), ([200, 2], 7.92), ([6, 0], 6)]
)
def test_a_rare_label_says_how_far_held_out_objects_are_believed(counts, equal):
    assert surely_better(np.array(counts)) == pytest.approx(SURELY_BETTER / equal**0.5, abs=0.001)


def test_every_head_adds_its_measures():
    boxes = [[0, 0, 10, 10]]
    image = CachedImage(np.zeros((100, 100, 3), np.uint8), target(boxes))
    found = measured((BOXES, MASKS), [detections(boxes, [0.9])], [image], 1)
    assert found == pytest.approx({"box_map": 1.0, "box_map50": 1.0}, abs=1e-3)  # no mask is known here


@pytest.mark.parametrize(("heads", "scored"), [((BOXES, MASKS), BOXES), ((AREAS,), AREAS), ((MASKS,), None)])
def test_one_head_gives_the_scores(heads, scored):
    assert scored_head(heads) is scored


class SmallDevice:
    """Stands for a predictor on a device that holds so many images, and raises torch's own error beyond."""

    def __init__(self, holds: int, words: str = "CUDA out of memory. Tried to allocate 2.00 GiB") -> None:
        self.holds, self.words = holds, words

    def predict(self, images, **limits):
        if len(images) > self.holds:
            raise RuntimeError(self.words)
        return [detections([[0, 0, image.shape[1], 10]], [0.9]) for image in images]


WIDE = [CachedImage(np.zeros((20, 10 * k, 3), np.uint8), target([])) for k in (1, 2, 3)]


def test_images_that_do_not_fit_together_are_judged_one_by_one():
    found = predict_images(SmallDevice(holds=1), WIDE)
    assert [one.boxes_xyxy_px[0, 2] for one in found] == [10, 20, 30]


def test_an_image_that_does_not_fit_alone_is_said_with_what_to_do():
    with pytest.raises(OutOfMemory, match="smaller image_size"):
        predict_images(SmallDevice(holds=0), WIDE)


def test_another_error_while_judging_is_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes differ"):
        predict_images(SmallDevice(holds=0, words="shapes differ"), WIDE)
