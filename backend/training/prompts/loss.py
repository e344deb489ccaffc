"""What the prompt network is judged by: the mask, and its own idea of how good the mask is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from backend.nn.prompts.network import PromptOutput

OVERLAP_WEIGHT = 0.3


def prompt_loss(output: PromptOutput, truth: Tensor, outside_share: Tensor) -> Tensor:
    """Return the mean loss of a batch, a scalar.

    truth float [B, 1, S, S] in 0..1; outside_share float [B]: part of the object beyond the window, which
    a mask of this window can never win, and which the expected overlap must therefore know of.
    """
    logits = output.mask_logits
    probability = logits.sigmoid()
    # Errors that remain late in the training weigh more; the sum is kept comparable by normalising.
    hardness = (probability - truth).abs().detach() ** 1.5 + 0.05
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = (entropy * hardness).mean(dim=(1, 2, 3)) / hardness.mean(dim=(1, 2, 3)).clamp(min=0.05)
    shared = (probability * truth).sum(dim=(1, 2, 3))
    either = (probability + truth - probability * truth).sum(dim=(1, 2, 3))
    jaccard = 1.0 - (shared + 1.0) / (either + 1.0)
    overlap = expected_overlap(logits.detach(), truth, outside_share)
    overlap_loss = functional.binary_cross_entropy_with_logits(output.overlap_logits, overlap)
    return entropy.mean() + jaccard.mean() + OVERLAP_WEIGHT * overlap_loss


def expected_overlap(logits: Tensor, truth: Tensor, outside_share: Tensor) -> Tensor:
    """Return the IoU [B] of the thresholded masks with the whole object, also what lies outside."""
    predicted, actual = logits > 0, truth > 0.5
    shared = (predicted & actual).sum(dim=(1, 2, 3)).float()
    inside = actual.sum(dim=(1, 2, 3)).float()
    whole = inside / (1.0 - outside_share).clamp(min=0.05)
    either = predicted.sum(dim=(1, 2, 3)).float() + whole - shared
    return torch.where(either > 0, shared / either.clamp(min=1.0), torch.ones_like(either))
