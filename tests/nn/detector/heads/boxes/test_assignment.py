import pytest
import torch

from backend.nn.detector.heads.boxes.assignment import assign_task_aligned
from backend.nn.detector.heads.boxes.module import all_anchor_points

POINTS, STRIDES = all_anchor_points((64, 64), torch.device("cpu"))


def assign(objects, trust=0.0, boxes=None, scores=None):
    count = len(POINTS)
    boxes = torch.zeros(count, 4) if boxes is None else boxes
    scores = torch.full((count, 2), 0.01) if scores is None else scores
    labels = torch.zeros(len(objects), dtype=torch.int64)
    objects = torch.tensor(objects, dtype=torch.float32).reshape(-1, 4)
    return assign_task_aligned(
        scores, boxes, POINTS, STRIDES, objects, labels, torch.arange(len(labels)), trust=trust
    )


def test_without_objects_all_is_background():
    found = assign([])
    assert (found.object_of_cell == -1).all()
    assert found.quality.sum() == 0


@pytest.mark.parametrize(
    "box",
    [[10, 10, 40, 40], [0, 0, 64, 64], [29, 29, 31, 31], [0, 0, 64, 1]],
    ids=["usual", "whole-image", "between-points", "one-row"],
)
@pytest.mark.parametrize("trust", [0.0, 1.0])
def test_every_object_gets_a_cell(box, trust):
    assert (assign([box], trust).object_of_cell == 0).any()


def test_small_objects_go_to_the_finest_level_and_large_ones_to_the_coarsest():
    points, strides = all_anchor_points((256, 256), torch.device("cpu"))
    objects = torch.tensor([[20.0, 20, 32, 32], [0, 0, 256, 256]])
    found = assign_task_aligned(
        torch.full((len(points), 1), 0.01),
        torch.zeros(len(points), 4),
        points,
        strides,
        objects,
        torch.zeros(2, dtype=torch.int64),
        torch.arange(2),
        trust=0.0,
    )
    small, large = (torch.where(found.object_of_cell == k, found.quality, 0).argmax() for k in (0, 1))
    assert strides[small] == 8
    assert strides[large] == 32


def test_a_trusted_good_box_wins():
    boxes = torch.zeros(len(POINTS), 4)
    best = 3 * 8 + 3
    boxes[best] = torch.tensor([10.0, 10, 40, 40])
    found = assign([[10, 10, 40, 40]], trust=1.0, boxes=boxes)
    assert found.quality.argmax() == best
    assert found.quality[best] == pytest.approx(1.0, abs=1e-3)


def test_two_objects_share_no_cell():
    found = assign([[0, 0, 40, 40], [24, 0, 64, 40]])
    assert {0, 1} <= set(found.object_of_cell.tolist())
