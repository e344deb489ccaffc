"""Ratings and numbers: values on a scale, of which a head finds a distribution.

Some marks of the scale share out the chance of a value between them, each value those next to it. So near
misses cost less than far ones, and how sure a head is stays known. Sources: Diaz and Marathe, Soft Labels for
Ordinal Regression, CVPR 2019; Imani and White, arXiv 1806.04613, for numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_MARKS = 21
SPREAD_MARKS = 0.6
"""The standard deviation of what a value teaches, in marks."""
NEAR_SHARE = 0.1
"""A number is near another within this share of the scale."""
DIGITS = 3
"""To so many digits of the scale's length numbers are rounded that have no step."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """marks: ascending, evenly spaced; () until numbers have been seen. are_all: values are marks.

    step: to which values between marks are rounded, from `least` or 0; None for any. least, most: limits.
    """

    marks: tuple[float, ...] = ()
    are_all: bool = False
    step: float | None = None
    least: float | None = None
    most: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "marks": list(self.marks),
            "are_all": self.are_all,
            "step": self.step,
            "least": self.least,
            "most": self.most,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Scale:
        """Read what `as_json` wrote. Raises KeyError, TypeError or ValueError for something else."""
        limits = (values[name] for name in ("step", "least", "most"))
        numbers = (None if number is None else float(number) for number in limits)
        return cls(tuple(float(mark) for mark in values["marks"]), bool(values["are_all"]), *numbers)

    def spanned_by(self, seen: Sequence[float]) -> Scale:
        """Return the scale with marks that span the numbers seen; as it is where it has some, or none are.

        Whole numbers that lie close are marks themselves.
        """
        if self.marks or not seen:
            return self
        low, high = min(seen), max(seen)
        are_whole = all(float(number).is_integer() for number in seen)
        step = 1.0 if self.step is None and are_whole else self.step
        if low == high:
            marks = [low]
        elif are_whole and high - low < MOST_MARKS:
            marks = list(np.arange(low, high + 1))
        else:
            marks = list(np.linspace(low, high, MOST_MARKS))
        return replace(self, marks=tuple(float(mark) for mark in marks), step=step)

    @cached_property
    def length(self) -> float:
        """From the first mark to the last; 0 for one mark."""
        return self.marks[-1] - self.marks[0] if self.marks else 0.0

    @cached_property
    def spacing(self) -> float:
        """From a mark to the next; 1 for one mark."""
        return self.length / (len(self.marks) - 1) if len(self.marks) > 1 else 1.0

    @property
    def size(self) -> int:
        """How many chances are found of it."""
        return len(self.marks)

    def found(self, chances: Iterable[float]) -> Estimate:
        """Return what was found of it: a chance for every mark."""
        return Estimate(self, tuple(float(chance) for chance in chances))

    def wanted(self, value: float) -> Array:
        """Return the chance of each mark, float64 [marks], where this is the value."""
        steps = (np.array(self.marks) - min(max(value, self.marks[0]), self.marks[-1])) / self.spacing
        powers = np.exp(-(steps**2) / (2 * SPREAD_MARKS**2))
        shares: Array = powers / powers.sum()
        return shares

    def nearest(self, value: float) -> int:
        """Return the position of the mark nearest to a value."""
        return int(np.abs(np.array(self.marks) - value).argmin())

    def rounded(self, value: float) -> float:
        """Return a value as people would give it."""
        if self.step is not None:
            start = self.least or 0.0
            value = start + round((value - start) / self.step) * self.step
        digits = DIGITS - math.floor(math.log10(self.step or self.length or 1.0))
        low, high = self.least, self.most
        value = max(value, low) if low is not None else value
        return round(min(value, high) if high is not None else value, max(digits, 0))

    def nearness(self, one: float, other: float) -> float:
        """Return how near two values are: 1 for equal ones, 0 where marks or tenths lie between them."""
        reach = max(2 * self.spacing if self.are_all else 2 * NEAR_SHARE * self.length, 1e-9)
        return max(0.0, 1 - abs(one - other) / reach)


@dataclass(frozen=True)
class Estimate:
    """What was found of a value: for every mark of its scale a chance from 0 to 1."""

    scale: Scale
    chances: tuple[float, ...]

    @cached_property
    def value(self) -> float:
        """The median where values are marks, which errs least by steps; else the mean."""
        if self.scale.are_all:
            half = int(np.searchsorted(np.cumsum(self.chances), sum(self.chances) / 2))
            return self.scale.marks[min(half, len(self.scale.marks) - 1)]
        return self.scale.rounded(float(np.dot(self.scale.marks, self.chances)))

    @property
    def score(self) -> float:
        """The chance that it is this value, or, of numbers between marks, one near to it."""
        near = self.scale.spacing / 2
        if not self.scale.are_all:
            near = max(near, NEAR_SHARE * self.scale.length)
        is_near = np.abs(np.array(self.scale.marks) - self.value) <= near + 1e-9
        return float(np.array(self.chances)[is_near].sum())

    @classmethod
    def mean(cls, several: Sequence[Estimate]) -> Estimate:
        """Return the mean of what was found in several images."""
        chances = zip(*(one.chances for one in several), strict=True)
        return cls(several[0].scale, tuple(sum(of_mark) / len(several) for of_mark in chances))
