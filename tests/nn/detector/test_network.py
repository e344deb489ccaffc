import pytest
import torch

from backend.errors import ParameterError
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.backbone import Backbone
from backend.nn.detector.fuse import fuse_normalisation
from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.heads.boxes.losses import BoxTargets
from backend.nn.detector.heads.head import LossContext
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.heads.masks.module import mask_windows, sample_windows
from backend.nn.detector.heads.masks.targets import MaskTargets
from backend.nn.detector.network import InstanceNetwork

SIZE_HW = (64, 96)


def make_network(heads=(BOXES, MASKS)):
    torch.manual_seed(0)
    return InstanceNetwork(Architecture("test_resnet", 96, 2, heads))


def losses(network, output, targets, size_hw, trust):
    return network.losses(output, targets, LossContext(size_hw, torch.ones(2), trust))


def make_targets(boxes_per_image, size_hw=SIZE_HW):
    boxes = [torch.tensor(b, dtype=torch.float32).reshape(-1, 4) for b in boxes_per_image]
    labels = [torch.zeros(len(b), dtype=torch.int64) for b in boxes]
    windows = [mask_windows(b) for b in boxes]
    count = sum(map(len, boxes))
    semantic = torch.zeros(len(boxes), 2, size_hw[0] // 4, size_hw[1] // 4, dtype=torch.uint8)
    if count:
        semantic[:, 0, 4:10, 4:10] = 1
    return {
        "boxes": BoxTargets(boxes, labels, [torch.arange(len(each)) for each in labels]),
        "masks": MaskTargets(windows, labels, torch.rand(count, 28, 28).round(), semantic),
    }


def test_output_keys_and_shapes():
    output = make_network().eval()(torch.randn(2, 3, *SIZE_HW))
    cells = 8 * 12 + 4 * 6 + 2 * 3
    assert output["class_logits"].shape == (2, cells, 2)
    assert output["boxes_xyxy_px"].shape == (2, cells, 4)
    assert output["semantic"].shape == (2, 2, 16, 24)
    assert "semantic" not in make_network(heads=(BOXES,))(torch.randn(2, 3, *SIZE_HW))


def test_a_network_of_areas_has_nothing_of_boxes():
    network = make_network(heads=(AREAS,))
    assert set(network(torch.randn(2, 3, *SIZE_HW))) == {"fine", "semantic"}
    assert not any("detection" in name or "object" in name for name in network.state_dict())


def test_gradients_reach_every_parameter():
    network = make_network().train()
    # Residual blocks start as nothing (their last norm is zero), which would hide their insides.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    size_hw = (192, 192)
    output = network(torch.randn(2, 3, *size_hw))
    targets = make_targets([[[8, 8, 40, 40]], [[0, 0, 190, 190], [20, 20, 100, 110]]], size_hw)
    sum(losses(network, output, targets, size_hw, trust=0.0).values()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert silent == []
    still = [n for n, p in network.named_parameters() if not p.grad.abs().sum()]
    assert still == []


@pytest.mark.parametrize("boxes", [[[], []], [[], [[8, 8, 40, 40]]]], ids=["all-empty", "one-empty"])
def test_images_without_objects_have_a_finite_loss(boxes):
    network = make_network().train()
    output = network(torch.randn(2, 3, *SIZE_HW))
    parts = losses(network, output, make_targets(boxes), SIZE_HW, trust=1.0)
    loss = sum(parts.values())
    assert torch.isfinite(loss)
    loss.backward()


def test_batch_equals_single():
    network = make_network().eval()
    images = torch.randn(3, 3, *SIZE_HW)
    with torch.no_grad():
        together = network(images)
        alone = [network(image[None]) for image in images]
    for key, value in together.items():
        torch.testing.assert_close(value, torch.cat([a[key] for a in alone]), atol=1e-4, rtol=1e-4)


def test_folding_normalisation_changes_nothing():
    network = make_network().train()
    network(torch.randn(4, 3, *SIZE_HW))  # gives the statistics something to hold
    network.eval()
    images = torch.randn(2, 3, *SIZE_HW)
    with torch.no_grad():
        before = network(images)
        assert fuse_normalisation(network) > 5
        after = network(images)
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["test_vit", "test_byobnet", "test_efficientnet", "test_convnext"])
def test_every_kind_of_backbone_gives_the_same_four_strides(name):
    backbone = Backbone(name, 96).eval()
    size_hw = (96, 96) if backbone.needs_square else SIZE_HW
    maps = backbone(torch.randn(1, 3, *size_hw))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (c, size_hw[0] // s, size_hw[1] // s) for c, s in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]


def test_unknown_backbone_names_near_ones():
    with pytest.raises(ParameterError, match=r"resnet.*near it"):
        Backbone("resnet1", 96)


def test_windows_are_read_where_they_lie():
    ramp = torch.arange(8.0).repeat(8, 1)[None, None]
    read = sample_windows(ramp, [torch.tensor([[8.0, 8.0, 24.0, 24.0]])], 4, 4)
    # Net x 8..24 covers grid columns 2..6; the centres of four cells lie at 2, 3, 4, 5.
    torch.testing.assert_close(read[0, 0, 0], torch.tensor([2.0, 3.0, 4.0, 5.0]))
    assert sample_windows(ramp, [torch.zeros(0, 4)], 4, 4).shape == (0, 1, 4, 4)
