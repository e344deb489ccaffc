"""What the network's certainty is worth on images that it has not learned from.

Temperature scaling where one option is chosen, Platt's logistic curve where several may be. Sources: Guo et
al., arXiv 1706.04599, sec. 4; Platt 1999. Both with a prior, so that a dozen images move them a little only.

Options are never made surer than the network is: held-out images are often neighbours of learned ones (frames
of one flight, pictures of one thing), so that they may prove it too sure of new ones, but not too unsure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.answers.asked import Answered, FoundAnswer
from backend.core.answers.options import Chances, Form
from backend.core.answers.scales import Estimate

Array = npt.NDArray[np.float64]
SLOPES = np.exp(np.linspace(-2.0, 1.4, 69))
OFFSETS = np.linspace(-2.0, 2.0, 33)
USUAL_SLOPE = 1.0
UP_TO_USUAL = np.exp(np.linspace(-2.0, 0.0, 41))
"""The slopes that choices may have."""
SLOPE_DEVIATION, OFFSET_DEVIATION = 0.25, 0.25
"""How far the logarithm of the slope, and the offset, usually lie from the usual. Two dozen images tell the
former to about 0.25 only."""
LEAST_CHANCE = 1e-6


@dataclass(frozen=True)
class Curve:
    """From a logit to a calibrated one: slope times it, plus offset where an option stands for itself."""

    slope: float
    offset: float = 0.0


AS_IT_IS = Curve(1.0)


@dataclass(frozen=True)
class Curves:
    """What certainty is worth, by control tag; tags without a curve are read as they are."""

    by_control: Mapping[str, Curve] = field(default_factory=dict)

    def as_card(self) -> dict[str, list[float]]:
        """Return slope and offset of each control tag."""
        return {name: [curve.slope, curve.offset] for name, curve in self.by_control.items()}

    @classmethod
    def from_card(cls, entry: Mapping[str, Sequence[float]]) -> Curves:
        """Read what `as_card` wrote. Raises TypeError or ValueError for something else."""
        return cls({str(name): Curve(float(s), float(offset)) for name, (s, offset) in entry.items()})

    def fitted_to(self, answered: Sequence[Answered]) -> Curves:
        """Return the curves, those of the control tags that images or regions answer fitted to them."""
        return Curves({**self.by_control, **fit_curves(answered)})


def fit_curves(answered: Sequence[Answered]) -> dict[str, Curve]:
    """Return a curve for each control tag, of what was found and what was said of images or regions."""
    curves = {}
    for control in dict.fromkeys(control for _, taught in answered for control in taught):
        mine = [
            (found[control], taught[control])
            for found, taught in answered
            if control in taught and control in found
        ]
        curves[control] = fit_curve([found for found, _ in mine], [taught for _, taught in mine])
    return curves


def fit_curve(found: Sequence[FoundAnswer], taught: Sequence[Any]) -> Curve:
    """Return the likeliest curve for uncalibrated chances, and the options chosen or values given."""
    if not found:
        return Curve(USUAL_SLOPE)
    estimates = [one for one in found if isinstance(one, Estimate)]
    if estimates:
        right = [[one.scale.nearest(value)] for one, value in zip(estimates, taught, strict=True)]
        # Marks are taught with their neighbours, so a network that is sure of a value spreads its chances.
        return _fit_exclusive(np.array([one.chances for one in estimates]), right, SLOPES)
    return _fit_question([one for one in found if isinstance(one, Chances)], taught)


def _fit_question(found: Sequence[Chances], taught: Sequence[Sequence[int]]) -> Curve:
    if found[0].question.form is Form.MULTIPLE:
        return _fit_alone(found, taught)
    # Those at the top tell: options below them share their curve.
    question = found[0].question
    top = [position for position, parent in enumerate(question.parents) if parent < 0]
    right = [[top.index(question.way_to(position)[0]) for position in chosen] for chosen in taught]
    return _fit_exclusive(np.array([one.values for one in found])[:, top], right, UP_TO_USUAL)


def _fit_alone(found: Sequence[Chances], taught: Sequence[Sequence[int]]) -> Curve:
    chances = np.clip(np.array([one.values for one in found]), LEAST_CHANCE, 1 - LEAST_CHANCE)
    logits = np.log(chances / (1 - chances)).ravel()
    hits = np.array([[k in mine for k in range(chances.shape[1])] for mine in taught]).ravel()
    z = UP_TO_USUAL[:, None, None] * logits + OFFSETS[None, :, None]
    cost = (np.logaddexp(0, z) - hits * z).sum(axis=2) + _doubt(UP_TO_USUAL)[:, None]
    cost = cost + ((OFFSETS / OFFSET_DEVIATION) ** 2 / 2)[None]
    slope, offset = np.unravel_index(int(cost.argmin()), cost.shape)
    return Curve(round(float(UP_TO_USUAL[slope]), 4), round(float(OFFSETS[offset]), 4))


def _fit_exclusive(chances: Array, right: Sequence[Sequence[int]], slopes: Array) -> Curve:
    """Chances [N, slots]; right: of each row the slots that are right, none where nobody knows."""
    cost = _doubt(slopes)
    for row, mine in zip(np.log(np.clip(chances, LEAST_CHANCE, 1)), right, strict=True):
        if mine:
            scaled = slopes[:, None] * row[None]
            cost = cost + np.logaddexp.reduce(scaled, axis=1) - scaled[:, mine].mean(axis=1)
    return Curve(round(float(slopes[int(cost.argmin())]), 4))


def _doubt(slopes: Array) -> Array:
    doubt: Array = (np.log(slopes / USUAL_SLOPE) / SLOPE_DEVIATION) ** 2 / 2
    return doubt
