"""The image half of the prompt network: EfficientNet-Lite0's first stages, normalisation folded away.

Source: EfficientNet (arXiv 1905.11946), the Lite0 variant without squeeze-and-excitation and with ReLU6.
Batch norms are folded into the convolutions once, when a pretrained state is taken over: frozen statistics
are an affine map, and without them every pass is cheaper. Padding is symmetric where TensorFlow pads right
and bottom only; features differ by a shift of less than a cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_WIDTH = 32
_STAGES = (
    # repeats, kernel, stride, expansion, width
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
)
_EPSILON = 1e-3
"""Of the batch norms of the published weights."""


def _conv(inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


class _Inverted(nn.Module):
    """Expansion, depthwise convolution, projection; added to what came in where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = _conv(inputs, inner) if expansion > 1 else None
        self.depthwise = _conv(inner, inner, kernel, stride=stride, groups=inner)
        self.project = _conv(inner, outputs)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        inner = features if self.expand is None else functional.relu6(self.expand(features), inplace=True)
        if self.training:
            # Gradients of strided depthwise convolutions are several times slower in bfloat16.
            with torch.autocast("cpu", enabled=False):
                inner = functional.relu6(self.depthwise(inner.float()), inplace=True)
        else:
            inner = functional.relu6(self.depthwise(inner), inplace=True)
        out: Tensor = self.project(inner)
        return features + out if self.is_residual else out


class ImageEncoder(nn.Module):
    """Stages of strides 2 to 32, of which only the pointwise kernels from stride 8 on train.

    Edges and textures are known from ImageNet, and the gradients left out are the dearest: half of a step.
    """

    widths = (16, 24, 40, 112, 192)
    """Channels at strides 2, 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, STEM_WIDTH, 3, stride=2)
        stages, inputs = [], STEM_WIDTH
        for repeats, kernel, stride, expansion, width in _STAGES:
            blocks = []
            for k in range(repeats):
                blocks.append(_Inverted(inputs, width, kernel, stride if k == 0 else 1, expansion))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.fine2, self.fine4, self.fine8, self.fine16a, self.fine16b, self.fine32 = stages
        for part in (self.stem, self.fine2, self.fine4):
            part.requires_grad_(False)
        for part in self.modules():
            if isinstance(part, _Inverted):
                part.depthwise.requires_grad_(False)

    def early(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features at strides 2 and 4 of normalised pixels float [B, 3, S, S]."""
        with torch.no_grad():
            fine2 = self.fine2(functional.relu6(self.stem(image), inplace=True))
            return fine2, self.fine4(fine2)

    def coarse(self, fine8: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features at strides 16 and 32 of those at stride 8."""
        fine16 = self.fine16b(self.fine16a(fine8))
        return fine16, self.fine32(fine16)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take over a published EfficientNet-Lite0, its entries in the network's order, batch norms folded.

        Raises ValueError where shapes disagree. Stages and classifier beyond stride 32's 192 channels are
        left out.
        """
        values = iter([v for k, v in state.items() if not k.endswith("num_batches_tracked")])
        for conv in _convolutions(self):
            weight, gamma, beta, mean, variance = (next(values) for _ in range(5))
            if weight.shape != conv.weight.shape:
                raise ValueError(f"expected a kernel {tuple(conv.weight.shape)}, got {tuple(weight.shape)}")
            scale = gamma / torch.sqrt(variance + _EPSILON)
            assert conv.bias is not None
            with torch.no_grad():
                conv.weight.copy_(weight * scale[:, None, None, None])
                conv.bias.copy_(beta - mean * scale)


def _convolutions(module: nn.Module) -> Iterator[nn.Conv2d]:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            yield part
