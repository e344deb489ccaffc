"""How likely each of several things is, learned from rows whose truth is known, for others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEPS = 40
_CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class Odds:
    """A multinomial logistic regression: weights [F + 1, K - 1] for K classes, of which class 0 is the base.

    shares [K]: how frequent each class was among the rows it was learned from. A class that no row had was
    not learned, and its chance is 0. Its tiny share would else make it likelier in every step of `adapted`.
    """

    weights: Array
    shares: Array

    @classmethod
    def learned(
        cls, rows: Array, classes: Ints, class_count: int, counts: Array, *, strength: float = 1.0
    ) -> Odds:
        """Learn from rows [N, F], their classes [N], and how often each counts [N].

        strength: of the normal prior about no weight at all; the intercepts have hardly any. By Newton's
        method with halved steps.
        """
        design: Array = np.column_stack([rows, np.ones(len(rows))])
        hits = np.zeros((len(rows), class_count))
        hits[np.arange(len(rows)), classes] = counts
        width, others = design.shape[1], class_count - 1
        prior = np.full((width, others), strength)
        prior[-1] = 1e-3
        weights: npt.NDArray[Any] = np.zeros((width, others))

        def cost(candidate: Array) -> float:
            logits = np.column_stack([np.zeros(len(design)), design @ candidate])
            highest = logits.max(axis=1)
            total = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
            return float(counts @ total - (logits * hits).sum() + (prior * candidate**2).sum() / 2)

        reached = cost(weights)
        for _ in range(_STEPS):
            chances = _chances(design, weights)[:, 1:]
            gradient = design.T @ (counts[:, None] * chances - hits[:, 1:]) + prior * weights
            hessian = np.zeros((width * others, width * others))
            for a in range(others):
                for b in range(a, others):
                    curve = counts * chances[:, a] * ((a == b) - chances[:, b])
                    block = (design * curve[:, None]).T @ design
                    rows_a, rows_b = slice(a * width, (a + 1) * width), slice(b * width, (b + 1) * width)
                    hessian[rows_a, rows_b] = block
                    hessian[rows_b, rows_a] = block.T
            hessian[np.diag_indices_from(hessian)] += prior.T.ravel()
            step: npt.NDArray[Any] = np.linalg.solve(hessian, gradient.T.ravel()).reshape(others, width).T
            while (now := cost(weights - step)) > reached and np.abs(step).max() > _CLOSE:
                step = step / 2
            weights, gain, reached = weights - step, reached - now, now
            if gain < _CLOSE * (1 + abs(reached)):
                break
        shares = hits.sum(axis=0)
        shares[0] += 1e-3  # without any row everything is of the base class
        return cls(weights, shares / shares.sum())

    def chances(self, rows: Array) -> Array:
        """Return the probability of each class for rows [N, F], float [N, K]."""
        chances = _chances(np.column_stack([rows, np.ones(len(rows))]), self.weights) * (self.shares > 0)
        known: Array = chances / chances.sum(axis=1, keepdims=True)
        return known

    def adapted(self, rows: Array, expected: Array, strength: float) -> tuple[Odds, Array]:
        """Return the odds where classes are as frequent as they are among these rows, and those shares [K].

        expected [K]: the shares that are expected before any row was seen, worth `strength` rows.
        By expectation and maximisation. Source: Saerens, Latinne and Decaestecker, Neural Computation 14,
        2002.
        """
        chances, learned = self.chances(rows), self.shares > 0
        expected = np.where(learned, expected, 0.0) / expected[learned].sum()
        shares, learned_shares = expected, np.where(learned, self.shares, 1.0)
        for _ in range(200):
            likely = chances * (shares / learned_shares)
            likely /= likely.sum(axis=1, keepdims=True)
            wanted = (likely.sum(axis=0) + strength * expected) / (len(rows) + strength)
            wanted /= wanted.sum()
            if np.abs(wanted - shares).max() < _CLOSE:
                break
            shares = wanted
        weights = self.weights.copy()
        shift = np.log(np.where(learned, shares / learned_shares, 1.0))
        weights[-1] += shift[1:] - shift[0]
        return replace(self, weights=weights, shares=shares), shares


def _chances(design: Array, weights: Array) -> Array:
    logits = np.column_stack([np.zeros(len(design)), design @ weights])
    logits -= logits.max(axis=1, keepdims=True)
    chances = np.exp(logits)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances
