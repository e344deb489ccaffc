from __future__ import annotations

import pytest
import torch

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.points import LabelledPoint
from backend.nn.detector.heads.points.losses import heatmap_loss, offset_loss
from backend.nn.detector.heads.points.targets import point_targets

SIZE = ImageSize(64, 32)


def test_the_cell_of_a_point_wants_all_and_cells_around_it_less():
    targets = point_targets([[LabelledPoint(21.0, 14.0, 1, 1)]], SIZE, 3)
    heat = targets.nearness[0]
    assert heat.shape == (3, 8, 16)
    assert heat[1, 3, 5] == 1 and (heat == 1).sum() == 1
    assert 1 > heat[1, 3, 6] > heat[1, 3, 7] > heat[1, 3, 8] > 0
    assert heat[0].sum() == heat[2].sum() == 0


def test_cells_near_a_point_learn_the_way_to_it():
    targets = point_targets([[], [LabelledPoint(21.0, 14.0, 0, 0)]], SIZE, 1)
    for (image, label, row, column), (along, down) in zip(targets.near, targets.offsets, strict=True):
        assert (image, label) == (1, 0)
        assert (4 * (column + 0.5 + along), 4 * (row + 0.5 + down)) == (21.0, 14.0)


@pytest.mark.parametrize("place", [(0.0, 0.0), (64.0, 32.0), (64.0, 0.0)])
def test_a_point_on_the_edge_is_learned_too(place):
    assert point_targets([[LabelledPoint(*place, 0, 0)]], SIZE, 1).nearness.max() > 0.8


def test_the_loss_is_least_where_the_heatmap_is_as_wanted():
    targets = point_targets([[LabelledPoint(21.0, 14.0, 0, 0)]], SIZE, 1)
    wanted = torch.logit(targets.nearness, eps=1e-4)
    elsewhere = wanted.roll(5, dims=3)
    assert heatmap_loss(wanted, targets.nearness) < 0.01 < heatmap_loss(elsewhere, targets.nearness)


def test_views_without_points_teach_no_way():
    offsets = torch.zeros(1, 1, 8, 16, requires_grad=True)
    loss = offset_loss(offsets, offsets, point_targets([[]], SIZE, 1))
    loss.backward()
    assert float(loss.detach()) == 0 and float(offsets.grad.abs().sum()) == 0
