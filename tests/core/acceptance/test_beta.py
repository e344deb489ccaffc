from __future__ import annotations

import pytest

from backend.core.acceptance.beta import beta_cdf, beta_quantile


@pytest.mark.parametrize("x", [0.05, 0.3, 0.5, 0.8, 0.99])
def test_known_distributions(x):
    assert beta_cdf(x, 1, 1) == pytest.approx(x)
    assert beta_cdf(x, 3, 1) == pytest.approx(x**3)
    assert beta_cdf(x, 1, 4) == pytest.approx(1 - (1 - x) ** 4)
    assert beta_cdf(x, 2, 2) == pytest.approx(3 * x**2 - 2 * x**3)


def test_the_ends():
    assert (beta_cdf(0.0, 2, 3), beta_cdf(1.0, 2, 3)) == (0.0, 1.0)


def test_59_right_of_59_are_sure_to_be_95_percent():
    """The bound of Clopper and Pearson: 0.05 ** (1 / 59)."""
    assert beta_quantile(0.05, 59, 1) == pytest.approx(0.05 ** (1 / 59), abs=1e-9)


@pytest.mark.parametrize("chance", [0.01, 0.25, 0.9])
def test_a_quantile_is_the_inverse(chance):
    assert beta_cdf(beta_quantile(chance, 40.2, 0.6), 40.2, 0.6) == pytest.approx(chance, abs=1e-6)
