from __future__ import annotations

import pytest
import torch

from backend.nn.prompts.encoder import ImageEncoder
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops


def published(seed: int = 0) -> torch.nn.Module:
    """Return timm's EfficientNet-Lite0 with random weights and statistics."""
    ensure_torchvision_ops()
    import timm

    torch.manual_seed(seed)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
    return network


def test_the_encoder_computes_what_the_published_network_does():
    reference, encoder = published(), ImageEncoder().eval()
    encoder.load_imagenet(reference.state_dict())
    image = torch.rand(1, 3, 64, 64)
    # Padding differs by a pixel at each of two strided stages: 1 + 2 pixels of the image.
    with torch.inference_mode():
        wanted2, wanted4 = reference(image)[:2]
        found2 = encoder.early(torch.roll(image, (-1, -1), (2, 3)))[0]
        found4 = encoder.early(torch.roll(image, (-3, -3), (2, 3)))[1]
    inner = slice(3, -3)
    torch.testing.assert_close(found2[..., inner, inner], wanted2[..., inner, inner], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(found4[..., inner, inner], wanted4[..., inner, inner], atol=1e-4, rtol=1e-3)


def test_strides_and_widths():
    encoder = ImageEncoder()
    fine2, fine4 = encoder.early(torch.rand(2, 3, 64, 96))
    fine8 = encoder.fine8(fine4)
    maps = (fine2, fine4, fine8, *encoder.coarse(fine8))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, 64 // stride, 96 // stride)
        for width, stride in zip(ImageEncoder.widths, (2, 4, 8, 16, 32), strict=True)
    ]


def test_the_first_stages_and_spatial_kernels_do_not_train():
    frozen = {name for name, weight in ImageEncoder().named_parameters() if not weight.requires_grad}
    assert {"stem.weight", "fine4.1.project.weight", "fine32.3.depthwise.weight"} <= frozen
    assert "fine8.0.expand.weight" not in frozen


def test_a_state_of_another_network_is_refused():
    state = {f"{k}": torch.zeros(3) for k in range(400)}
    with pytest.raises(ValueError, match=r"expected a kernel \(32, 3, 3, 3\), got \(3,\)"):
        ImageEncoder().load_imagenet(state)
