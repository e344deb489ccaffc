import numpy as np
import pytest

from backend.training.judging.logistic import likeliest


def fitted(x, hits, strength):
    design = np.stack([x, np.ones_like(x)], axis=1)
    base = np.zeros_like(x)
    return likeliest(design, base, hits, np.array([4.0, 0.0]), np.full(2, strength))


def test_without_data_the_prior_stands():
    nothing = np.zeros(0)
    assert fitted(nothing, nothing, 2.0).tolist() == [4.0, 0.0]


def test_with_many_data_the_prior_hardly_counts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    hits = (rng.random(len(x)) < 1 / (1 + np.exp(-(1.5 * x - 0.5)))).astype(float)
    assert fitted(x, hits, 2.0) == pytest.approx([1.5, -0.5], abs=0.08)


def test_data_that_separate_end_at_a_finite_slope():
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    slope, offset = fitted(x, (x > 0).astype(float), 0.01)
    assert 4.0 < slope < 100 and offset == pytest.approx(0, abs=1e-3)
