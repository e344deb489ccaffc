import pytest
import torch

from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops, nms_greedy, torchvision_ops

BOXES = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30], [0, 0, 10, 4]])
SCORES = torch.tensor([0.5, 0.9, 0.1, 0.4])


@pytest.mark.parametrize(
    ("threshold", "kept"),
    [(0.5, [1, 3, 2]), (0.9, [1, 0, 3, 2]), (0.0, [1, 2])],
    ids=["usual", "nearly-equal-only", "any-overlap"],
)
def test_greedy_suppression_keeps_best_first(threshold, kept):
    assert nms_greedy(BOXES, SCORES, threshold).tolist() == kept


def test_greedy_suppression_of_nothing():
    assert nms_greedy(BOXES[:0], SCORES[:0], 0.5).tolist() == []


def test_torchvision_imports_and_suppresses():
    ensure_torchvision_ops()
    import torchvision

    assert torchvision.ops.nms(BOXES, SCORES, 0.5).tolist() == [1, 3, 2]
    labels = torch.tensor([0, 1, 0, 0])
    assert torchvision.ops.batched_nms(BOXES, SCORES, labels, 0.3).tolist() == [1, 0, 2]


def test_is_safe_to_call_twice():
    assert ensure_torchvision_ops() == ensure_torchvision_ops()


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0, 1.0),
        ([0, 0, 2, 2], [1, 0, 3, 2], 1 / 3, 1 / 3),
        ([0, 0, 1, 1], [2, 0, 3, 1], 0.0, -1 / 3),
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.0, 0.0),
    ],
    ids=["same", "half-shifted", "apart", "zero-area"],
)
def test_overlaps_of_boxes_need_no_compiled_extension(a, b, iou, giou):
    a, b = torch.tensor([a], dtype=torch.float32), torch.tensor([b], dtype=torch.float32)
    ops = torchvision_ops()
    assert ops.box_iou(a, b).item() == pytest.approx(iou, abs=1e-5)
    assert 1 - ops.generalized_box_iou_loss(a, b).item() == pytest.approx(giou, abs=1e-5)
