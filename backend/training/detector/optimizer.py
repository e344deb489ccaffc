"""The optimizer of a training: which weights are shrunk, and which move more slowly."""

from __future__ import annotations

import torch

from backend.nn.detector.network import InstanceNetwork
from backend.training.recipe import Plan


def make_optimizer(network: InstanceNetwork, plan: Plan, device: torch.device) -> torch.optim.Optimizer:
    """Return AdamW over the network's weights; each group carries its `full_rate`, before any schedule."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        is_body = name.startswith("backbone.body.")
        # Norms, biases and other vectors are not shrunk.
        groups.setdefault((is_body, parameter.ndim > 1), []).append(parameter)
    settings = []
    for (is_body, decays), parameters in groups.items():
        rate = plan.learning_rate * (plan.backbone_rate if is_body else 1.0)
        settings.append(
            {
                "params": parameters,
                "lr": rate,
                "full_rate": rate,
                "weight_decay": plan.recipe.weight_decay if decays else 0.0,
            }
        )
    return torch.optim.AdamW(settings, betas=plan.recipe.betas, fused=device.type in ("cpu", "cuda"))
