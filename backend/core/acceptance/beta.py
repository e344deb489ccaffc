"""The beta distribution, as far as bounds of shares need it."""

from __future__ import annotations

import math

_TINY = 1e-300
_STEPS = 300
_CLOSE = 1e-12


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the chance that a beta variable with parameters a, b > 0 is at most x in 0..1.

    The regularised incomplete beta function as a continued fraction, by Lentz's method.
    Source: NIST Digital Library of Mathematical Functions, 8.17.22.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    c, d = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _not_zero(1.0 + term * d)
            c = _not_zero(1.0 + term / c)
            fraction *= c * d
        if abs(c * d - 1.0) < _CLOSE:
            break
    return front * fraction / a


def beta_quantile(chance: float, a: float, b: float) -> float:
    """Return the x in 0..1 that a beta variable with parameters a, b > 0 is below with that chance."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < chance:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
