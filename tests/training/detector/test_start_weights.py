import pytest
import torch

import backend.training.detector.start_weights as start_weights
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.runtime.packed_weights import load_packed, save_packed
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from backend.training.parameters import TrainingParams

ensure_torchvision_ops()


def network(backbone="test_resnet"):
    return InstanceNetwork(Architecture(backbone, 96, 2, (BOXES, MASKS)))


@pytest.fixture
def drawn(tmp_path):
    """Shipped weights for the small test network, with three labels instead of two."""
    torch.manual_seed(5)
    theirs = InstanceNetwork(Architecture("test_resnet", 96, 3, (BOXES, MASKS)))
    save_packed(theirs.state_dict(), tmp_path / "drawn.safetensors")
    shipped = start_weights.DrawnStart("test_resnet", tmp_path / "drawn.safetensors")
    return theirs.state_dict(), shipped


@pytest.mark.parametrize("heads", [(BOXES, MASKS), (BOXES,), (AREAS,)], ids=["masks", "boxes", "areas"])
def test_drawn_scenes_fill_everything_but_the_rows_of_labels(drawn, heads):
    mine = InstanceNetwork(Architecture("test_resnet", 96, 2, heads))
    stored, shipped = drawn
    start = start_weights.start_from_scenes(mine, shipped)
    assert start == start_weights.Start(origin="weights learned from drawn scenes")
    for name, value in mine.state_dict().items():
        if not value.is_floating_point():
            continue
        wanted = stored[name]
        if name in mine.label_parameters:
            wanted = wanted.mean(dim=0).expand_as(value)
        torch.testing.assert_close(value, wanted, rtol=0, atol=float(stored[name].abs().max()) / 127)


def test_another_backbone_than_the_shipped_one_stays_as_it_was():
    mine = network()
    before = start_weights.weights_of(mine)
    assert start_weights.start_from_scenes(mine).origin == "random weights"
    after = mine.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_shipped_weights_fit_the_default_network_and_are_small():
    assert start_weights.SHIPPED_START.path.stat().st_size < 13e6
    stored = load_packed(start_weights.SHIPPED_START.path)
    mine = InstanceNetwork(Architecture(TrainingParams().backbone, 416, 4, (BOXES, MASKS)))
    assert start_weights.start_from_scenes(mine).origin == "weights learned from drawn scenes"
    for name, value in mine.state_dict().items():
        if value.is_floating_point() and name not in mine.label_parameters:
            torch.testing.assert_close(value, stored[name], rtol=0, atol=0)
            assert torch.isfinite(value).all()
