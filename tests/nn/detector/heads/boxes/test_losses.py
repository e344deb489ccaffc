import torch

from backend.nn.detector.heads.boxes.losses import IGNORED, object_mask_loss, semantic_loss, varifocal_loss


def test_right_answers_cost_less_than_wrong_ones():
    targets = torch.tensor([[0.9, 0.0]])
    right = varifocal_loss(torch.tensor([[3.0, -6.0]]), targets, torch.ones(2))
    wrong = varifocal_loss(torch.tensor([[-3.0, 6.0]]), targets, torch.ones(2))
    assert right < wrong


def test_unknown_pixels_cost_nothing():
    targets = torch.full((1, 1, 4, 4), IGNORED, dtype=torch.uint8)
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = semantic_loss(logits, targets)
    assert loss == 0
    loss.backward()
    assert logits.grad.abs().sum() == 0


def test_a_rectangle_without_shape_does_not_punish_its_corners():
    targets = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)
    targets[..., 1:3, 1:3] = IGNORED
    logits = torch.full((1, 1, 4, 4), -9.0)
    filled = logits.clone()
    filled[..., 1:3, 1:3] = 9.0
    torch.testing.assert_close(semantic_loss(logits, targets), semantic_loss(filled, targets))


def test_no_object_mask_costs_nothing():
    assert object_mask_loss(torch.zeros(0, 28, 28), torch.zeros(0, 28, 28)) == 0
