"""What changes while a training goes on, as functions of its progress 0..1."""

from __future__ import annotations

import math

from backend.training.recipe import Plan

SIZE_STEP_PX = 32


def learning_rate_factor(step: int, total_steps: int, plan: Plan) -> float:
    """Return the factor on the learning rate: linear warm-up, then a cosine down to `final_rate`."""
    warmup = min(plan.recipe.warmup_steps_max, max(1, round(plan.recipe.warmup_share * total_steps)))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return plan.final_rate + (1 - plan.final_rate) * cosine


def longest_side_px(progress: float, plan: Plan) -> int:
    """Return the longest side of the views, a multiple of 32, rising to the full size."""
    share = plan.recipe.size_share_start + (1 - plan.recipe.size_share_start) * min(
        progress / max(plan.recipe.size_full_from, 1e-6), 1.0
    )
    return max(SIZE_STEP_PX * 2, round(plan.image_size_px * share / SIZE_STEP_PX) * SIZE_STEP_PX)


def assignment_trust(progress: float, plan: Plan) -> float:
    """Return how far the network's own output decides which cells learn an object, 0..1."""
    return min(progress / max(plan.recipe.trust_full_from, 1e-6), 1.0)


def ema_decay(step: int, total_steps: int, plan: Plan) -> float:
    """Return the share of the average that one step keeps; short at first, when weights change fast."""
    horizon = max(plan.recipe.ema_share * total_steps, 2.0)
    return min(1 - 1 / horizon, (1 + step) / (5 + step))
