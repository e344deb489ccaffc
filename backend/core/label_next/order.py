"""In which order pictures are best labelled: unlike what is labelled, like what is left, and none twice.

Greedy, as core sets are built (Sener and Savarese, "Active Learning for Convolutional Neural Networks: A
Core-Set Approach", ICLR 2018): after each choice the others are as unlike as the nearest labelled or chosen
picture lets them be. How many pictures are alike weighs in, so that no run of odd ones comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray
from backend.core.label_next.doubt import shares

MOST_CHOSEN = 1000
"""So many places are chosen one after the other; what comes later is sorted as it stands then."""
MOST_NEIGHBOURS = 2000
"""How many pictures are alike is counted among so many, evenly taken out of all."""
COMPONENTS = 48
TWIN_SHARE = 0.4
"""Pictures are near duplicates that differ by less than this share of what pictures usually differ by from
their next one."""
_CHUNK = 1024


@dataclass(frozen=True)
class Order:
    """What the order of unlabelled pictures says; every array has their length [N].

    rows int64: their numbers, the first to label first. novelty 0..1: how unlike each is to all that is
    labelled, as a share of what is usual. alike int64: how many unlabelled pictures are near. twin_of int64:
    the picture, labelled or earlier in the order, that it nearly equals; -1 where there is none. Labelled
    pictures count from N up.
    """

    rows: npt.NDArray[np.int64]
    novelty: FloatArray
    alike: npt.NDArray[np.int64]
    twin_of: npt.NDArray[np.int64]


def order_pictures(unlabelled: FloatArray, labelled: FloatArray, doubt: FloatArray | None = None) -> Order:
    """Return the order of the pictures of `unlabelled` [N, D]; `labelled` [M, D] are those that are done.

    Rows are embeddings of any scale. doubt [N]: how much a version is likely to be wrong in each; None where
    none was asked.
    """
    count = len(unlabelled)
    if not count:
        nothing = np.zeros(0, np.int64)
        return Order(nothing, np.zeros(0, np.float32), nothing, nothing)
    all_rows = np.concatenate([unlabelled, labelled]) if len(labelled) else unlabelled
    points = _even_scale(all_rows.astype(np.float32))
    pool, done = points[:count], points[count:]
    usual, twin_below, alike = _neighbourhoods(pool)
    distance, nearest = _nearest(pool, done)
    novelty = np.clip(distance / usual, 0.0, 2.0) / 2
    weight = 0.5 + 0.5 * shares(alike.astype(np.float32))
    wrong = np.zeros(count, np.float32) if doubt is None else shares(doubt)
    rows: list[int] = []
    twin_of = np.where(distance < twin_below, nearest, -1).astype(np.int64)
    is_left = twin_of < 0
    for _ in range(min(MOST_CHOSEN, int(is_left.sum()))):
        if not is_left.any():
            break
        worth = weight * (np.minimum(distance / usual, 2.0) + wrong)
        worth[~is_left] = -1.0
        best = int(worth.argmax())
        rows.append(best)
        is_left[best] = False
        to_best = _distances(pool, pool[best : best + 1])[:, 0]
        twins = is_left & (to_best < twin_below)
        twin_of[twins], is_left[twins] = best, False
        distance = np.minimum(distance, to_best)
    worth = weight * (np.minimum(distance / usual, 2.0) + wrong)
    later = np.flatnonzero(is_left)
    rows += later[np.argsort(-worth[later], kind="stable")].tolist()
    last = np.flatnonzero(twin_of >= 0)
    rows += last[np.argsort(-worth[last], kind="stable")].tolist()
    return Order(np.array(rows, np.int64), novelty.astype(np.float32), alike, twin_of)


def _even_scale(points: FloatArray) -> FloatArray:
    """Return rows whose columns were standardised and reduced to their main components, of unit length."""
    centred = points - points.mean(axis=0)
    spread = centred.std(axis=0)
    centred = centred / np.where(spread > 1e-6, spread, 1.0)
    sample = centred[:: max(1, len(centred) // MOST_NEIGHBOURS)]
    if min(sample.shape) > COMPONENTS:
        _, _, axes = np.linalg.svd(sample, full_matrices=False)
        centred = centred @ axes[:COMPONENTS].T
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: FloatArray = (centred / np.where(length > 1e-6, length, 1.0)).astype(np.float32)
    return unit


def _distances(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return the Euclidean distances [N, M] of rows of unit length."""
    found: FloatArray = np.sqrt(np.maximum(2.0 - 2.0 * (rows @ others.T), 0.0))
    return found


def _neighbourhoods(pool: FloatArray) -> tuple[float, float, npt.NDArray[np.int64]]:
    """Return the usual distance of pictures, below which they are near duplicates, and how many are near.

    Half of the pictures of a pool may be near duplicates of others, so the distance to the next one is taken
    where it is large, of the upper quarter.
    """
    step = max(1, -(-len(pool) // MOST_NEIGHBOURS))
    sample = pool[::step]
    if len(sample) < 2:
        return 1.0, 0.0, np.zeros(len(pool), np.int64)
    nearest = np.empty(len(sample), np.float32)
    medians = np.empty(len(sample), np.float32)
    for start in range(0, len(sample), _CHUNK):
        found = _distances(sample[start : start + _CHUNK], sample)
        medians[start : start + len(found)] = np.median(found, axis=1)
        found[np.arange(len(found)), start + np.arange(len(found))] = np.inf
        nearest[start : start + len(found)] = found.min(axis=1)
    usual = max(float(np.median(medians)), 1e-6)
    apart = float(np.quantile(nearest, 0.75))
    alike = np.empty(len(pool), np.int64)
    for start in range(0, len(pool), _CHUNK):
        found = _distances(pool[start : start + _CHUNK], sample)
        alike[start : start + len(found)] = step * (found < (apart + usual) / 2).sum(axis=1) - 1
    return usual, TWIN_SHARE * apart, np.maximum(alike, 0)


def _nearest(pool: FloatArray, done: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the distance to the nearest labelled picture, infinite where none is, and its number."""
    distance = np.full(len(pool), np.inf, np.float32)
    nearest = np.full(len(pool), -1, np.int64)
    for start in range(0, len(pool), _CHUNK):
        for first in range(0, len(done), _CHUNK):
            found = _distances(pool[start : start + _CHUNK], done[first : first + _CHUNK])
            own = slice(start, start + len(found))
            closer = found.min(axis=1) < distance[own]
            nearest[own] = np.where(closer, found.argmin(axis=1) + first + len(pool), nearest[own])
            distance[own] = np.minimum(distance[own], found.min(axis=1))
    return distance, nearest
