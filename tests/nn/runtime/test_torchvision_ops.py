import pytest
import torch

from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops, nms_greedy

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
