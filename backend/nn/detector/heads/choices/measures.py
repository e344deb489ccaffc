"""How good choices are on images that were not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from backend.core.answers.options import Chances, Form

Answered = tuple[Mapping[str, Chances], Mapping[str, Sequence[int]]]
"""Of one image what was found and what was chosen, by control tag."""


def choice_measures(answered: Sequence[Answered]) -> dict[str, float]:
    """Return `choice_accuracy` of single choices and paths, `choice_map` of multiple ones, over all tags.

    choice_accuracy: the share of images whose likeliest answer is the one given. choice_map: the mean over
    options of the average precision by which their chance ranks the images.
    """
    accuracies: list[float] = []
    precisions: list[float] = []
    for control in dict.fromkeys(control for _, taught in answered for control in taught):
        both = [
            (found[control], taught[control])
            for found, taught in answered
            if control in taught and control in found
        ]
        if not both:
            continue
        question = both[0][0].question
        if question.form is Form.MULTIPLE:
            precisions += _average_precisions(both)
        else:
            right = [set(question.chosen(found.values, 0.0)) == set(taught) for found, taught in both]
            accuracies.append(float(np.mean(right)))
    measures = {}
    if accuracies:
        measures["choice_accuracy"] = float(np.mean(accuracies))
    if precisions:
        measures["choice_map"] = float(np.mean(precisions))
    return measures


def _average_precisions(both: Sequence[tuple[Chances, Sequence[int]]]) -> list[float]:
    chances = np.array([found.values for found, _ in both])
    hits = np.array([[k in taught for k in range(chances.shape[1])] for _, taught in both])
    return [average_precision(chances[:, k], hits[:, k]) for k in range(chances.shape[1]) if hits[:, k].any()]


def average_precision(scores: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_]) -> float:
    """Return the mean precision at the rank of each hit, scores [N] and hits [N] of which one is set.

    Equal scores count as one rank.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(hits[order])[ends]
    precision = found / (ends + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / hits.sum())
