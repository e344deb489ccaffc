import numpy as np
import pytest

from backend.core.geometry.instances import Detections
from backend.nn.detector.heads.average_precision import box_average_precision, mask_average_precision
from tests.learning_found import detections, target
from tests.learning_scenes import scene


def test_perfect_detections_score_one():
    _, truth = scene(1)
    found = Detections(
        truth.size, truth.boxes_xyxy_px, np.ones(2, np.float32), truth.label_indices, truth.masks
    )
    assert box_average_precision([found], [truth], 2) == pytest.approx(
        {"box_map": 1, "box_map50": 1}, abs=1e-3
    )
    assert mask_average_precision([found], [truth], 2) == pytest.approx(
        {"mask_map": 1, "mask_map50": 1}, abs=1e-3
    )


def test_all_of_many_things_count():
    boxes = [[12 * k, 12 * row, 12 * k + 9, 12 * row + 9] for k in range(8) for row in range(25)]
    found = detections(boxes, [0.9] * len(boxes))
    assert box_average_precision([found], [target(boxes)], 1)["box_map50"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("found", "truth"),
    [(detections([], []), target([[0, 0, 9, 9]])), (detections([], []), target([]))],
    ids=["nothing-found", "nothing-there"],
)
def test_nothing_scores_zero(found, truth):
    assert box_average_precision([found], [truth], 1) == {"box_map": 0.0, "box_map50": 0.0}


def test_masks_are_not_measured_where_the_mask_of_any_object_is_unknown():
    _, known = scene(1)
    _, unknown = scene(2, with_masks=False)
    both = [known, unknown]
    found = [
        Detections(t.size, t.boxes_xyxy_px, np.ones(2, np.float32), t.label_indices, t.masks) for t in both
    ]
    assert mask_average_precision(found, both, 2) == {}
