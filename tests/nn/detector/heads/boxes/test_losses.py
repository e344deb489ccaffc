import torch

from backend.nn.detector.heads.boxes.losses import varifocal_loss


def test_right_answers_cost_less_than_wrong_ones():
    targets = torch.tensor([[0.9, 0.0]])
    right = varifocal_loss(torch.tensor([[3.0, -6.0]]), targets, torch.ones(2))
    wrong = varifocal_loss(torch.tensor([[-3.0, 6.0]]), targets, torch.ones(2))
    assert right < wrong
