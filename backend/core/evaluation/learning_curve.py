"""What more labelled images would bring: curves through what versions of a project measured.

Two laws are usual of how a measure grows with the number n of images, and few noisy points cannot tell which
one holds, nor where it levels off:

    measure(n) = ceiling - gap * n ** -exponent             (Cortes et al. 1993; Hestness et al. 2017)
    measure(n) / (1 - measure(n)) = scale * n ** growth     (the odds grow as a power)

So no single curve is fitted: many curves of both laws are drawn from a prior, each weighs as much as it
explains the points, and what all of them say together is the forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS = 20_000
"""Of each law."""
EXPONENT_MEDIAN, EXPONENT_SPREAD = 0.45, 0.55
"""Prior of the exponent, log-normal. One project's few images are learned faster than the slopes of 0.07 to
0.35 that were published for millions of images."""
CEILING_POWER = 2.0
"""Most measures level off nearer to 1 than to what was reached: of the way to 1, a uniform share to this
power is left."""
GROWTH_MEAN, GROWTH_SPREAD = 0.5, 0.25
"""Prior of the growth of the odds, normal, never below 0."""
TRAINING_SPREAD = 0.015
"""By how much two trainings on as many images of a project differ, standard deviation."""
TAIL_DEGREES = 5.0
"""Of Student's t: one odd version does not bend the curve."""
LOW, MIDDLE, HIGH = 0.10, 0.50, 0.90


@dataclass(frozen=True)
class CurvePoint:
    """What was measured (0..1) of a version that learned from so many images, and its standard error."""

    images: int
    measure: float
    standard_error: float


@dataclass(frozen=True)
class Forecast:
    """What a version of so many images would measure: in 80 of 100 cases from low to high."""

    images: int
    middle: float
    low: float
    high: float


def forecast(points: Sequence[CurvePoint], images: Iterable[int]) -> tuple[Forecast, ...]:
    """Return forecasts for numbers of images; none where fewer than two numbers of images were measured.

    The same points give the same forecasts.
    """
    if len({point.images for point in points}) < 2:
        return ()
    rng = np.random.default_rng(0)
    counts = np.array([point.images for point in points], np.float64)
    measured = np.array([point.measure for point in points], np.float64)
    errors = np.hypot([point.standard_error for point in points], TRAINING_SPREAD)
    curves = _drawn_curves(rng, counts, measured, errors)
    distance = np.stack([(curves(n) - y) / e for n, y, e in zip(counts, measured, errors, strict=True)])
    log_weight = -0.5 * (TAIL_DEGREES + 1) * np.log1p(distance**2 / TAIL_DEGREES).sum(axis=0)
    weight = np.exp(log_weight - log_weight.max())
    noise = TRAINING_SPREAD * rng.standard_normal(2 * DRAWS)
    found = []
    for count in images:
        low, middle, high = _quantiles(np.clip(curves(count) + noise, 0.0, 1.0), weight)
        found.append(Forecast(int(count), middle, low, high))
    return tuple(found)


def _drawn_curves(
    rng: np.random.Generator, counts: Array, measured: Array, errors: Array
) -> Callable[[float], Array]:
    """Return curves from the prior, as what maps a number of images to their values, float64 [2 * DRAWS].

    All pass near the points' middle, so that few of them are drawn in vain.
    """
    centre = float(np.exp(np.log(counts).mean()))
    near = float(np.average(measured, weights=errors**-2)), 3 * float(errors.max()) + 0.05
    passes = np.clip(rng.normal(*near, 2 * DRAWS), 0.005, 0.995)
    ceiling = 1 - (1 - float(measured.min())) * rng.uniform(0, 1, DRAWS) ** CEILING_POWER
    exponent = EXPONENT_MEDIAN * np.exp(EXPONENT_SPREAD * rng.standard_normal(DRAWS))
    gap = np.maximum(ceiling - passes[:DRAWS], 0.0)
    logit = np.log(passes[DRAWS:] / (1 - passes[DRAWS:]))
    growth = np.abs(rng.normal(GROWTH_MEAN, GROWTH_SPREAD, DRAWS))

    def at(count: float) -> Array:
        by_power = ceiling - gap * (count / centre) ** -exponent
        by_odds = 1 / (1 + np.exp(-(logit + growth * np.log(count / centre))))
        return np.concatenate((by_power, by_odds))

    return at


def _quantiles(values: Array, weights: Array) -> tuple[float, float, float]:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    places = np.searchsorted(below, np.array([LOW, MIDDLE, HIGH]) * below[-1])
    low, middle, high = values[order][np.minimum(places, len(values) - 1)].tolist()
    return low, middle, high
