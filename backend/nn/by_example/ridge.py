"""Least squares with a penalty, from sums over rows that can be added and taken away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_OFFSET_PENALTY = 1e-4
"""Of the constant, as a share of the others': it should be free."""


@dataclass(frozen=True)
class Moments:
    """Sums over weighted rows of x (with a constant 1 behind it) [N, D + 1] and y [N, K]."""

    squares: Tensor
    products: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, weights: Tensor) -> Moments:
        """Sum up rows x [N, D], y [N, K] with weights [N]."""
        with_constant = torch.cat([x, torch.ones(len(x), 1)], dim=1)
        weighted = with_constant * weights[:, None]
        return cls(weighted.T @ with_constant, weighted.T @ y)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.squares + other.squares, self.products + other.products)

    def __sub__(self, other: Moments) -> Moments:
        return Moments(self.squares - other.squares, self.products - other.products)

    def solved(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Return the kernel [D, K] and the constant [K]; penalty: in units of the mean square of x."""
        size = len(self.squares)
        total = float(self.squares[-1, -1])
        mean_square = float(self.squares.diagonal()[:-1].mean()) / max(total, 1e-9)
        diagonal = torch.full((size,), penalty * mean_square * total)
        diagonal[-1] *= _OFFSET_PENALTY
        root = torch.linalg.cholesky(self.squares + torch.diag(diagonal))
        solution = torch.cholesky_solve(self.products, root)
        return solution[:-1], solution[-1]
