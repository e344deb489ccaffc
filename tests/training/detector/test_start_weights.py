import json

import pytest
import torch
from safetensors.torch import save_file

import backend.training.detector.start_weights as start_weights
from backend.core.versions.card import VersionCard
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import CARD_FILE, WEIGHTS_FILE
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
    shipped = start_weights.ShippedStart("test_resnet", tmp_path / "drawn.safetensors", "weights of drawings")
    return theirs.state_dict(), shipped


@pytest.mark.parametrize("heads", [(BOXES, MASKS), (BOXES,), (AREAS,)], ids=["masks", "boxes", "areas"])
def test_drawn_scenes_fill_everything_but_the_rows_of_labels(drawn, heads):
    mine = InstanceNetwork(Architecture("test_resnet", 96, 2, heads))
    stored, shipped = drawn
    start = start_weights.start_from_shipped(mine, shipped)
    assert start == start_weights.Start(origin="weights of drawings")
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
    assert start_weights.start_from_shipped(mine).origin == "random weights"
    after = mine.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("pretrained", [True, False], ids=["photographs", "drawn scenes"])
def test_the_shipped_weights_fit_the_networks_that_auto_names_and_are_small(pretrained):
    shipped = start_weights.PHOTOGRAPH_START if pretrained else start_weights.DRAWN_START
    assert shipped.path.stat().st_size < 14e6
    stored = load_packed(shipped.path)
    backbone = TrainingParams(backbone="auto", pretrained=pretrained).with_named_backbone().backbone
    mine = InstanceNetwork(Architecture(backbone, 416, 4, (BOXES, MASKS)))
    start = start_weights.start_from_shipped(mine, shipped)
    assert start == start_weights.Start(shipped.origin)
    for name, value in mine.state_dict().items():
        if value.is_floating_point() and name not in mine.label_parameters:
            torch.testing.assert_close(value, stored[name], rtol=0, atol=0)
            assert torch.isfinite(value).all()


def test_a_version_gives_each_label_its_own_row_and_new_labels_none(tmp_path):
    torch.manual_seed(5)
    theirs = InstanceNetwork(Architecture("test_resnet", 96, 3, (BOXES, MASKS)))
    save_file(start_weights.weights_of(theirs), tmp_path / WEIGHTS_FILE)
    card = VersionCard(
        labels=("cat", "cow", "dog"), params={}, facts={"architecture": theirs.architecture.as_card()}
    )
    (tmp_path / CARD_FILE).write_text(json.dumps(card.as_json()))
    mine = network()
    fresh = start_weights.weights_of(mine)
    assert start_weights.start_from_version(mine, ("dog", "bird"), tmp_path).is_version
    stored = theirs.state_dict()
    for name, value in mine.state_dict().items():
        if name in mine.label_parameters:
            assert torch.equal(value[0], stored[name][2]) and torch.equal(value[1], fresh[name][1])
        else:
            assert torch.equal(value, stored[name])


def test_neck_and_heads_serve_another_backbone_and_leave_it_alone(drawn):
    stored, shipped = drawn
    mine = network("resnet18")
    before = start_weights.weights_of(mine)
    start_weights.take_over_neck_and_heads(mine, shipped)
    after = mine.state_dict()
    assert all(torch.equal(v, after[n]) for n, v in before.items() if n.startswith("backbone."))
    same_shape = [
        name
        for name, value in after.items()
        if value.is_floating_point()
        and not name.startswith("backbone.")
        and stored[name].shape == value.shape
        and name not in mine.label_parameters
    ]
    assert len(same_shape) > 40
    for name in same_shape:
        step = float(stored[name].abs().max()) / 127
        torch.testing.assert_close(after[name], stored[name], rtol=0, atol=step)
