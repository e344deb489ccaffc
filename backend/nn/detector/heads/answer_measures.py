"""How good choices, ratings and numbers are on images that were not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.core.answers.asked import Answered
from backend.core.answers.options import Chances, Form
from backend.core.answers.scales import Estimate


def choice_measures(answered: Sequence[Answered]) -> dict[str, float]:
    """Return `choice_accuracy` of single choices and paths, `choice_map` of multiple ones, over all tags.

    choice_accuracy: the share of images whose likeliest answer is the one given. choice_map: the mean over
    options of the average precision by which their chance ranks the images. `scale_concordance` is that of
    ratings and numbers.
    """
    accuracies: list[float] = []
    precisions: list[float] = []
    concordances: list[float] = []
    for control in dict.fromkeys(control for _, taught in answered for control in taught):
        both = [
            (found[control], taught[control])
            for found, taught in answered
            if control in taught and control in found
        ]
        if not both:
            continue
        estimated = [(found.value, taught) for found, taught in both if isinstance(found, Estimate)]
        if estimated:
            concordances.append(concordance(np.array(estimated, dtype=np.float64)))
            continue
        chosen = [(found, taught) for found, taught in both if isinstance(found, Chances)]
        question = chosen[0][0].question
        if question.form is Form.MULTIPLE:
            precisions += _average_precisions(chosen)
        else:
            right = [set(question.chosen(found.values, 0.0)) == set(taught) for found, taught in chosen]
            accuracies.append(float(np.mean(right)))
    measures = {}
    if accuracies:
        measures["choice_accuracy"] = float(np.mean(accuracies))
    if precisions:
        measures["choice_map"] = float(np.mean(precisions))
    if concordances:
        measures["scale_concordance"] = float(np.mean(concordances))
    return measures


def _average_precisions(both: Sequence[tuple[Chances, Sequence[int]]]) -> list[float]:
    chances = np.array([found.values for found, _ in both])
    hits = np.array([[k in taught for k in range(chances.shape[1])] for _, taught in both])
    return [average_precision(chances[:, k], hits[:, k]) for k in range(chances.shape[1]) if hits[:, k].any()]


def concordance(pairs: npt.NDArray[np.float64]) -> float:
    """Return how well found values agree with given ones, pairs float64 [N, 2]: 1 perfectly, 0 not at all.

    Of whole numbers it is the kappa with quadratic weights. What agrees less than by chance counts as 0.
    Source: Lin, A concordance correlation coefficient, Biometrics 1989.
    """
    (found_mean, given_mean), spread = pairs.mean(axis=0), pairs.var(axis=0).sum()
    apart = spread + (found_mean - given_mean) ** 2
    if apart == 0:
        return 1.0
    shared = ((pairs[:, 0] - found_mean) * (pairs[:, 1] - given_mean)).mean()
    return max(0.0, float(2 * shared / apart))


def average_precision(scores: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_]) -> float:
    """Return the mean precision at the rank of each hit, scores [N] and hits [N] of which one is set.

    Equal scores count as one rank.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(hits[order])[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / hits.sum())
