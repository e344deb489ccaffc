"""Logistic regression with a normal prior: it leaves the prior only as far as the data prove."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def likeliest(design: Array, base: Array, hits: Array, prior: Array, strength: Array) -> Array:
    """Return theta [K] that makes hits [N] likeliest, P = sigmoid(base + design @ theta), float [N], [N, K].

    prior, strength [K]: of a normal distribution of theta, its mean and inverse variance. By Newton's method
    with halved steps: where hits and misses nearly separate, full ones swing between two points for good.
    """

    def cost(theta: Array) -> float:
        z = base + design @ theta
        return float(np.logaddexp(0, z).sum() - hits @ z + strength @ (theta - prior) ** 2 / 2)

    theta = prior
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(base + design @ theta, -30, 30)))
        gradient = design.T @ (p - hits) + strength * (theta - prior)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(strength)
        step = np.linalg.solve(hessian, gradient)
        while np.abs(step).max() >= 1e-6 and cost(theta - step) > cost(theta):
            step = step / 2
        theta = theta - step
        if np.abs(step).max() < 1e-6:
            break
    return theta
