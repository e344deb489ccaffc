import numpy as np
import pytest

from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.training.detector.evaluation import SURELY_BETTER, measured, scored_head, surely_better
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
