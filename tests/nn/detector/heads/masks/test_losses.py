import torch

from backend.nn.detector.heads.masks.losses import object_mask_loss


def test_no_object_mask_costs_nothing():
    assert object_mask_loss(torch.zeros(0, 28, 28), torch.zeros(0, 28, 28)) == 0
