"""Fold normalisation into convolutions: the same numbers for less time, prediction only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backend.nn.detector.network import InstanceNetwork


def fuse_normalisation(network: InstanceNetwork) -> int:
    """Fold every batch normalisation that directly follows a convolution used once; return how many.

    The pairs are found by watching one forward pass over a blank image, since names and containers differ
    between networks. The network must be in eval mode, float32, on the CPU; it is changed in place.
    """
    side = network.architecture.image_size_px if network.architecture.canvas == "square" else 64
    pairs = _adjacent_pairs(network, torch.zeros(1, 3, side, side))
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
    _drop_norms(network, {id(norm) for _, norm in pairs})
    return len(pairs)


def _adjacent_pairs(network: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    made_by: dict[int, nn.Conv2d] = {}
    kept_alive: list[Tensor] = []
    uses: dict[nn.Module, int] = {}
    readers: dict[nn.Conv2d, list[nn.BatchNorm2d]] = {}

    def after_conv(conv: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        kept_alive.append(output)  # so that no later tensor gets the same identity
        made_by[id(output)] = conv
        uses[conv] = uses.get(conv, 0) + 1

    def before_norm(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        uses[norm] = uses.get(norm, 0) + 1
        conv = made_by.get(id(args[0]))
        if conv is not None:
            readers.setdefault(conv, []).append(norm)

    hooks = []
    for module in network.modules():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(after_conv))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before_norm))
    try:
        with torch.inference_mode():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [(c, norms[0]) for c, norms in readers.items() if len(norms) == 1 and uses[c] == 1]


def _drop_norms(network: nn.Module, folded_ids: set[int]) -> None:
    for parent in network.modules():
        for name, child in list(parent.named_children()):
            if id(child) in folded_ids:
                # timm's BatchNormAct2d carries its activation along.
                rest = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]
                setattr(parent, name, nn.Sequential(*rest) if rest else nn.Identity())
