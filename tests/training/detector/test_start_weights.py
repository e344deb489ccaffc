import pytest
import torch
from safetensors.torch import save_file

import backend.training.detector.start_weights as start_weights
from backend.nn.detector.network import Architecture, InstanceNetwork
from backend.nn.runtime.packed_weights import load_packed, save_packed
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from backend.training.parameters import TrainingParams

ensure_torchvision_ops()


def network(backbone="test_resnet"):
    return InstanceNetwork(Architecture(backbone, 96, 2, has_masks=True))


@pytest.fixture
def own_weights():
    """ImageNet-like weights made here: a whole classifier, as timm saves it."""
    import timm

    torch.manual_seed(7)
    return timm.create_model("test_resnet", pretrained=False).state_dict()


@pytest.mark.parametrize(
    "name", ["test_resnet.safetensors", "test_resnet.pth", "test_resnet/model.safetensors"]
)
@pytest.mark.parametrize("give_folder", [True, False], ids=["folder", "file"])
def test_local_weights_fill_the_backbone(tmp_path, own_weights, name, give_folder):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if name.endswith(".pth"):
        torch.save(own_weights, path)
    else:
        save_file(own_weights, path)
    mine = network()
    start = start_weights.start_from_imagenet(mine, tmp_path if give_folder else path)
    assert start.has_learned
    assert start.warning is None
    torch.testing.assert_close(
        mine.backbone.body.state_dict()["conv1.0.weight"], own_weights["conv1.0.weight"]
    )


def test_weights_that_do_not_fit_leave_random_ones_and_say_so(tmp_path):
    save_file({"conv9.weight": torch.zeros(3)}, tmp_path / "test_resnet.safetensors")
    start = start_weights.start_from_imagenet(network(), tmp_path)
    assert not start.has_learned
    assert "RANDOM WEIGHTS" in start.warning


def test_a_missing_file_is_named(tmp_path):
    start = start_weights.start_from_imagenet(network(), tmp_path)
    assert "test_resnet" in start.warning


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"conv1.weight": Trap()}, tmp_path / "test_resnet.pth")
    assert not start_weights.start_from_imagenet(network(), tmp_path).has_learned
    assert not (tmp_path / "sprung").exists()


def test_offline_hub_gives_up_in_time(monkeypatch):
    def unreachable():
        raise ConnectionError("timm's hub does not answer within 8 s")

    monkeypatch.setattr(start_weights, "_probe_hub", unreachable)
    start = start_weights.start_from_imagenet(network("resnet18"), None)
    assert "does not answer" in start.warning


def test_the_probe_is_bounded(monkeypatch):
    import time

    import requests

    monkeypatch.setattr(start_weights, "HUB_PROBE_S", 0.2)
    monkeypatch.setattr(requests, "head", lambda *a, **k: time.sleep(1))
    begun = time.monotonic()
    with pytest.raises(ConnectionError):
        start_weights._probe_hub()
    assert time.monotonic() - begun < 0.9


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Shipped weights for the small test network, with three labels instead of two."""
    torch.manual_seed(5)
    theirs = InstanceNetwork(Architecture("test_resnet", 96, 3, has_masks=True))
    save_packed(theirs.state_dict(), tmp_path / "drawn.safetensors")
    monkeypatch.setattr(start_weights, "SHIPPED_BACKBONE", "test_resnet")
    monkeypatch.setattr(start_weights, "SHIPPED_START_WEIGHTS", tmp_path / "drawn.safetensors")
    return theirs.state_dict()


@pytest.mark.parametrize("has_masks", [True, False])
def test_drawn_scenes_fill_everything_but_the_rows_of_labels(drawn, has_masks):
    mine = InstanceNetwork(Architecture("test_resnet", 96, 2, has_masks=has_masks))
    start = start_weights.start_from_scenes(mine)
    assert start == start_weights.Start(origin="weights learned from drawn scenes")
    for name, value in mine.state_dict().items():
        if not value.is_floating_point():
            continue
        wanted = drawn[name]
        if name in start_weights.LABEL_PARAMETERS:
            wanted = wanted.mean(dim=0).expand_as(value)
        torch.testing.assert_close(value, wanted, rtol=0, atol=float(drawn[name].abs().max()) / 127)


def test_another_backbone_than_the_shipped_one_stays_as_it_was():
    mine = network()
    before = start_weights.weights_of(mine)
    assert start_weights.start_from_scenes(mine).origin == "random weights"
    after = mine.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_shipped_weights_fit_the_default_network_and_are_small():
    assert start_weights.SHIPPED_START_WEIGHTS.stat().st_size < 13e6
    stored = load_packed(start_weights.SHIPPED_START_WEIGHTS)
    mine = InstanceNetwork(Architecture(TrainingParams().backbone, 416, 4, has_masks=True))
    assert start_weights.start_from_scenes(mine).origin == "weights learned from drawn scenes"
    for name, value in mine.state_dict().items():
        if value.is_floating_point() and name not in start_weights.LABEL_PARAMETERS:
            torch.testing.assert_close(value, stored[name], rtol=0, atol=0)
            assert torch.isfinite(value).all()


def test_without_pretrained_weights_a_shipped_start_is_better_than_none(drawn, tmp_path):
    mine = network()
    start = start_weights.start_from_imagenet(mine, tmp_path / "nothing-here")
    assert not start.has_learned
    assert "NO PRETRAINED WEIGHTS" in start.warning
    assert "drawn scenes" in start.origin
    name = "neck.laterals.0.0.weight"
    step = float(drawn[name].abs().max()) / 127
    torch.testing.assert_close(mine.state_dict()[name], drawn[name], rtol=0, atol=step)
