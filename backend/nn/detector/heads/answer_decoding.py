"""From slots to the chance of every option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backend.core.answers.asked import FoundAnswer
from backend.core.answers.options import Form
from backend.core.answers.scales import Estimate
from backend.core.geometry.instances import FloatArray
from backend.nn.detector.heads.answer_curves import AS_IT_IS, Curve
from backend.nn.detector.heads.answer_layout import Group, Layout


def chances_of(logits: FloatArray, layout: Layout, curves: Mapping[str, Curve]) -> dict[str, FoundAnswer]:
    """Return what was found of each control tag in one image or region; logits float32 [slots]."""
    found: dict[str, FoundAnswer] = {}
    for control, asked, groups in layout.of_control():
        curve = curves.get(control, AS_IT_IS)
        chances = np.zeros(asked.size)
        for group in groups:
            above = 1.0 if group.parent < 0 else chances[group.parent]
            chances[list(group.options)] = above * _of_group(logits, group, curve)
        found[control] = asked.found(chances)
    return found


def certainty(found: Mapping[str, FoundAnswer]) -> float:
    """Return how sure the least sure answer of an image is, 0..1."""
    return min((_certainty(chances) for chances in found.values()), default=1.0)


def _certainty(chances: FoundAnswer) -> float:
    if isinstance(chances, Estimate):
        return chances.score
    values: Sequence[float] = chances.values
    if chances.question.form is Form.MULTIPLE:
        return float(np.mean([max(value, 1 - value) for value in values]))
    top = [value for value, parent in zip(values, chances.question.parents, strict=True) if parent < 0]
    return max(top)


def _of_group(logits: FloatArray, group: Group, curve: Curve) -> FloatArray:
    mine = curve.slope * logits[list(group.all_slots)].astype(np.float64)
    if not group.is_exclusive:
        alone: FloatArray = 1 / (1 + np.exp(-np.clip(mine + curve.offset, -30, 30)))
        return alone
    powers = np.exp(mine - mine.max())
    shares: FloatArray = powers / powers.sum()
    return shares[: len(group.options)]
