import torch

from backend.nn.detector.heads.attributes.pooling import region_features

LEFT_TO_RIGHT = torch.arange(16.0).repeat(8, 1)[None, None]
"""A map [1, 1, 8, 16] whose cell in column x says x."""


def test_a_box_gets_what_lies_in_it():
    found = region_features(LEFT_TO_RIGHT, torch.tensor([0]), torch.tensor([[0.25, 0.0, 0.75, 1.0]]), 2)
    # Columns 4 to 12 in two halves: the middles are at 6 and 10, which lie half a cell after their columns.
    assert found.shape == (1, 1, 2, 2)
    assert torch.allclose(found[0, 0], torch.tensor([[5.5, 9.5], [5.5, 9.5]]))


def test_each_box_looks_at_its_own_image():
    maps = torch.cat([LEFT_TO_RIGHT, -LEFT_TO_RIGHT, 7 * torch.ones_like(LEFT_TO_RIGHT)])
    box = torch.tensor([[0.25, 0.25, 0.75, 0.75]])
    found = region_features(maps, torch.tensor([2, 0, 1]), box.repeat(3, 1), 1).flatten()
    assert torch.allclose(found, torch.tensor([7.0, 7.5, -7.5]))


def test_beyond_the_image_lies_nothing():
    found = region_features(
        torch.ones(1, 1, 8, 8), torch.tensor([0]), torch.tensor([[1.0, 0.0, 2.0, 1.0]]), 1
    )
    assert float(found) < 0.2
