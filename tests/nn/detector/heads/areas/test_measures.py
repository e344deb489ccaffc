import numpy as np
import pytest

from backend.core.geometry.instances import Detections
from backend.nn.detector.heads.areas.measures import area_ious, mean_area_iou
from tests.area_scenes import area_sample

TARGET = area_sample(1).target


def found(keep):
    kept = [TARGET.masks[k] for k in keep]
    return Detections(
        TARGET.size,
        TARGET.boxes_xyxy_px[keep],
        np.ones(len(keep), np.float32),
        TARGET.label_indices[keep],
        tuple(kept),
        has_boxes=False,
    )


@pytest.mark.parametrize(
    ("keep", "mean"), [([0, 1], 1.0), ([0], 0.5), ([], 0.0)], ids=["both", "sky", "none"]
)
def test_each_label_counts_once(keep, mean):
    assert mean_area_iou([found(keep)], [TARGET], 2) == mean
    assert area_ious(found(keep), TARGET) == [1.0 if k in keep else 0.0 for k in range(2)]


def test_a_label_that_nobody_drew_does_not_count():
    assert mean_area_iou([found([0, 1])], [TARGET], 3) == 1.0
