"""From simulated annotators to batches, and one optimisation step on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.nn.prompts.network import PromptNetwork, PromptOutput
from backend.nn.prompts.tensors import images_to_tensor, prompts_to_tensor
from backend.training.averaging import move_average
from backend.training.prompts.annotators import MaskedObject, Rng, next_round, start_sample
from backend.training.prompts.loss import prompt_loss


class SampleStream:
    """Keeps `batch_size` simulated annotators at work; a finished one is replaced from `objects`."""

    def __init__(
        self, objects: Iterator[MaskedObject], rng: Rng, batch_size: int, *, prior_share: float = 0.15
    ) -> None:
        self._objects = objects
        self._rng = rng
        self._prior_share = prior_share
        self.live = [start_sample(rng, next(objects), prior_share=prior_share) for _ in range(batch_size)]

    def batch(self, net_side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return image [B, 3, S, S], prompts [B, 5, S, S], truth [B, 1, S, S] and outside share [B]."""
        drawn = [sample.inputs(net_side) for sample in self.live]
        truth = np.stack([sample.truth(net_side) for sample in self.live])[:, None]
        outside = np.array([sample.outside_share() for sample in self.live], dtype=np.float32)
        return (
            images_to_tensor(np.stack([pixels for pixels, _ in drawn])),
            prompts_to_tensor(np.stack([prompts for _, prompts in drawn])),
            torch.from_numpy(truth),
            torch.from_numpy(outside),
        )

    def advance(self, output: PromptOutput) -> None:
        """Let every annotator look at what the network made of its prompts and go on."""
        probabilities = output.mask_logits.detach().sigmoid()[:, 0].numpy()
        for slot, (sample, probability) in enumerate(zip(self.live, probabilities, strict=True)):
            if not next_round(self._rng, sample, probability):
                self.live[slot] = start_sample(self._rng, next(self._objects), prior_share=self._prior_share)


class WeightAverage:
    """An exponential moving average of weights and running statistics."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def update(self, network: nn.Module) -> None:
        """Move towards the network's present weights; faster in the first steps."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        move_average(self.values, network.state_dict(), keep)


def rate_groups(network: PromptNetwork, decoder_rate: float, encoder_rate: float) -> list[dict[str, Any]]:
    """Return an optimiser's groups, each with its `full_rate`: what has seen ImageNet moves more slowly."""
    encoder = {id(weight) for weight in network.encoder.parameters()}
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    return [
        {
            "params": [w for w in learning if id(w) not in encoder],
            "lr": decoder_rate,
            "full_rate": decoder_rate,
        },
        {"params": [w for w in learning if id(w) in encoder], "lr": encoder_rate, "full_rate": encoder_rate},
    ]


def backward_step(network: PromptNetwork, stream: SampleStream, net_side: int, *, use_bf16: bool) -> float:
    """Add the gradients of the stream's next batch, let its annotators go on, and return the loss.

    use_bf16: compute in bfloat16, several times slower than float32 where the processor has no
    instructions for it. The loss may be inf or nan: the caller decides.
    """
    image, prompts, truth, outside = stream.batch(net_side)
    with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
        output = network(image, prompts)
    loss = prompt_loss(output, truth, outside)
    loss.backward()
    stream.advance(output)
    return float(loss.detach())


def train_step(
    network: PromptNetwork,
    optimiser: torch.optim.Optimizer,
    stream: SampleStream,
    net_side: int,
    *,
    use_bf16: bool,
) -> float:
    """Take one step on the stream's next batch and return the loss. May be inf or nan: the caller decides."""
    optimiser.zero_grad(set_to_none=True)
    loss = backward_step(network, stream, net_side, use_bf16=use_bf16)
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return loss
