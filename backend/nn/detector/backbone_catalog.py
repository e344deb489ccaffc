"""The backbones offered by name: families and sizes that were trained at every image size.

Any other timm network with feature maps can be named too; these are the ones a list shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import ParameterError
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops


@dataclass(frozen=True)
class BackboneEntry:
    """One offered backbone. relative_cost: time of a training step at 416 px, resnet18 being 1."""

    name: str
    family: str
    size: str
    relative_cost: float


CATALOG: tuple[BackboneEntry, ...] = (
    BackboneEntry("resnet18", "ResNet", "small", 1.0),
    BackboneEntry("resnet34", "ResNet", "middle", 1.7),
    BackboneEntry("resnet50", "ResNet", "large", 2.8),
    BackboneEntry("mobilenetv3_small_100", "MobileNet", "small", 0.5),
    BackboneEntry("mobilenetv3_large_100", "MobileNet", "middle", 0.8),
    BackboneEntry("mobilenetv4_conv_medium", "MobileNet", "large", 1.1),
    BackboneEntry("tf_efficientnet_lite0", "EfficientNet-Lite", "small", 0.9),
    BackboneEntry("tf_efficientnet_lite1", "EfficientNet-Lite", "middle", 1.1),
    BackboneEntry("tf_efficientnet_lite2", "EfficientNet-Lite", "large", 1.1),
    BackboneEntry("efficientnet_b0", "EfficientNet", "small", 1.4),
    BackboneEntry("efficientnet_b2", "EfficientNet", "middle", 2.1),
    BackboneEntry("efficientnetv2_rw_s", "EfficientNet", "large", 4.0),
    BackboneEntry("vit_tiny_patch16_224", "ViT", "small", 1.0),
    BackboneEntry("vit_small_patch16_224", "ViT", "middle", 2.3),
    BackboneEntry("vit_base_patch16_224", "ViT", "large", 7.0),
    BackboneEntry("swin_tiny_patch4_window7_224", "Swin", "small", 3.6),
    BackboneEntry("swin_small_patch4_window7_224", "Swin", "middle", 6.5),
    BackboneEntry("swin_base_patch4_window7_224", "Swin", "large", 10.0),
    BackboneEntry("convnext_atto", "ConvNeXt", "small", 0.9),
    BackboneEntry("convnext_nano", "ConvNeXt", "middle", 2.3),
    BackboneEntry("convnext_tiny", "ConvNeXt", "large", 3.8),
    BackboneEntry("regnety_004", "RegNet", "small", 0.9),
    BackboneEntry("regnety_016", "RegNet", "middle", 1.9),
    BackboneEntry("regnety_032", "RegNet", "large", 3.1),
    BackboneEntry("densenet121", "DenseNet", "small", 3.3),
    BackboneEntry("densenet169", "DenseNet", "middle", 4.0),
    BackboneEntry("densenet201", "DenseNet", "large", 5.2),
    BackboneEntry("maxvit_rmlp_pico_rw_256", "MaxViT", "small", 2.4),
    BackboneEntry("maxvit_rmlp_nano_rw_256", "MaxViT", "middle", 4.6),
    BackboneEntry("maxvit_tiny_rw_224", "MaxViT", "large", 6.3),
)


def catalog_families() -> dict[str, tuple[BackboneEntry, ...]]:
    """Return the entries by family, in the catalog's order, small to large."""
    families = dict.fromkeys(entry.family for entry in CATALOG)
    return {family: tuple(e for e in CATALOG if e.family == family) for family in families}


def validate_backbone(name: str) -> None:
    """Raise ParameterError unless timm has a network of that name.

    An offered one is known at once; any other imports timm, which takes seconds the first time.
    """
    if any(entry.name == name for entry in CATALOG):
        return
    ensure_torchvision_ops()
    import timm

    if name not in timm.list_models():
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "resnet18"
        raise ParameterError(
            f"backbone must be a network that timm has, got {name[:80]!r}; near it are {close}",
            field="backbone",
        )
