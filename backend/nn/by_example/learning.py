"""From a few labelled things to what finds their like: least squares in closed form, in seconds.

Every window over the labelled pictures is a row: its descriptor, how well it fits a thing of the label, and
where that thing's sides are. This is R-CNN's regression on frozen features (arXiv 1311.2524) with the overlap
itself as the target, so that one object gives many rows. Windows without a thing are ground, and weigh as
much as the things together.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.core.geometry.boxes import box_iou
from backend.core.geometry.instances import FloatArray, ImageSize, IntArray
from backend.core.prompting.windows import ByteArray
from backend.nn.by_example.descriptors import Whitening, cells_of, descriptors
from backend.nn.by_example.features import PictureEncoder
from backend.nn.by_example.ridge import Moments
from backend.nn.by_example.scores import ScoreMap, score_map
from backend.nn.by_example.windows import WindowSize, window_sizes

logger = logging.getLogger(__name__)

PENALTY, SIDES_PENALTY = 3.0, 30.0
GROUND_IOU, FULL_IOU = 0.3, 0.7
"""Up to which overlap a window shows ground, and from which it shows the whole thing."""
SIDES_IOU = 0.4
"""From which overlap a window teaches where the sides are."""
MOST_ROWS_OF_THINGS, MOST_ROWS_OF_GROUND = 200, 2500
"""Of one window size in one picture, and of a label in all."""
CELLS_MEASURED = 3000
FOLDS = 3


@dataclass(frozen=True, eq=False)
class Example:
    """A labelled picture: RGB uint8 [H, W, 3], boxes [N, 4] in its pixels, labels [N]."""

    picture: ByteArray
    boxes_xyxy_px: FloatArray
    label_indices: IntArray

    def mirrored(self) -> Example:
        """Return it left to right."""
        boxes = self.boxes_xyxy_px[:, [2, 1, 0, 3]].copy()
        boxes[:, [0, 2]] = self.picture.shape[1] - boxes[:, [0, 2]]
        return Example(np.ascontiguousarray(self.picture[:, ::-1]), boxes, self.label_indices)


@dataclass(frozen=True, eq=False)
class LabelKernel:
    """Linear functions of descriptors for one label: the fit, and four numbers about the sides.

    kernel [D, 5], constants [5]; scores: from the fit to a score.
    """

    kernel: Tensor
    constants: Tensor
    scores: ScoreMap


@dataclass(frozen=True, eq=False)
class Likeness:
    """What was learned from examples: where to look, what windows are reduced to, and what to look for."""

    sizes: tuple[WindowSize, ...]
    whitening: Whitening
    kernels: Mapping[int, LabelKernel]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Windows of one label: descriptors [N, D], fit [N] 0..1, overlap [N], sides [N, 4], object [N].

    object_numbers: of the thing a window overlaps most, over all views; -1 for ground.
    """

    x: Tensor
    fits: FloatArray
    overlaps: FloatArray
    sides: FloatArray
    object_numbers: IntArray


def learn(examples: Sequence[Example], encoder: PictureEncoder) -> Likeness:
    """Return what finds the like of the examples, of which at least one has a box; takes seconds.

    A label whose things no window fits, being very small or of very different shapes, is left out.
    Raises ValueError where that is so for every label.
    """
    boxes = np.concatenate([example.boxes_xyxy_px for example in examples])
    labels = np.concatenate([example.label_indices for example in examples])
    pictures = [ImageSize(example.picture.shape[1], example.picture.shape[0]) for example in examples]
    sizes = window_sizes(boxes, labels, pictures)
    levels = sorted({size.level for size in sizes})
    views = [view for example in examples for view in (example, example.mirrored())]
    maps = [{level: encoder.encode(view.picture, 2.0**level) for level in levels} for view in views]
    every = [one for by_level in maps for one in by_level.values()]
    whitening = Whitening.of(cells_of(every, CELLS_MEASURED))
    white = [{level: whitening.apply(one) for level, one in by_level.items()} for by_level in maps]
    kernels: dict[int, LabelKernel] = {}
    for label in sorted(set(labels.tolist())):
        rows = _rows(label, [size for size in sizes if size.label_index == label], views, white)
        if (rows.overlaps > SIDES_IOU).any():
            kernels[label] = _kernel(rows)
        else:
            logger.warning(
                "no window fits the examples of the label at index %d: its like is not found", label
            )
    if not kernels:
        raise ValueError(
            "the labelled objects are too small, or each label's are of too different shapes; label one that "
            "is larger, or of the usual shape"
        )
    return Likeness(tuple(size for size in sizes if size.label_index in kernels), whitening, kernels)


def _rows(
    label: int,
    sizes: Sequence[WindowSize],
    views: Sequence[Example],
    maps: Sequence[Mapping[int, Tensor]],
) -> _Rows:
    rng = np.random.default_rng(0)
    ground_of_each = max(1, MOST_ROWS_OF_GROUND // (len(views) * len(sizes)))
    x, fits, overlaps, sides, numbers, seen = [], [], [], [], [], 0
    for number, (view, by_level) in enumerate(zip(views, maps, strict=True)):
        if number % 2 == 0 and number:  # a picture and its mirror image hold the same objects
            seen += len(view.label_indices)
        things = view.boxes_xyxy_px
        for size in sizes:
            features = by_level[size.level]
            windows = size.windows(*features.shape[1:])
            iou = box_iou(windows / np.float32(size.scale), things)
            own = np.where(view.label_indices[None] == label, iou, 0)
            best = own.max(axis=1, initial=0)
            thing = own.argmax(axis=1) if len(things) else np.zeros(len(own), dtype=np.int64)
            is_thing = best > GROUND_IOU
            is_other = ~is_thing & (iou.max(axis=1, initial=0) > GROUND_IOU)
            chosen = np.concatenate(
                [
                    _some(np.flatnonzero(is_thing), MOST_ROWS_OF_THINGS, rng),
                    _some(np.flatnonzero(~is_thing), ground_of_each, rng),
                    _some(np.flatnonzero(is_other), ground_of_each, rng),
                ]
            )
            x.append(descriptors(features, windows[chosen]))
            overlaps.append(best[chosen])
            fits.append(np.clip((best[chosen] - GROUND_IOU) / (FULL_IOU - GROUND_IOU), 0, 1))
            numbers.append(np.where(is_thing[chosen], thing[chosen] + seen, -1))
            sides.append(_sides(windows[chosen], things, thing[chosen], size))
    return _Rows(
        torch.cat(x),
        np.concatenate(fits),
        np.concatenate(overlaps),
        np.concatenate(sides),
        np.concatenate(numbers).astype(np.int64),
    )


def _some(indices: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return indices if len(indices) <= most else np.sort(rng.choice(indices, most, replace=False))


def _sides(windows: FloatArray, things: FloatArray, thing: IntArray, size: WindowSize) -> FloatArray:
    """Return where the thing of each window is: its centre off the window's, and the logs of its sides.

    [N, 4], in shares of the window's sides.
    """
    if not len(things):
        return np.zeros((len(windows), 4), dtype=np.float32)
    own = things[thing] * np.float32(size.scale)
    offsets = (own[:, :2] + own[:, 2:] - windows[:, :2] - windows[:, 2:]) / 2 / size.sides_px
    stretches = np.log(np.maximum(own[:, 2:] - own[:, :2], 1.0) / size.sides_px)
    return np.concatenate([offsets, stretches], axis=1).astype(np.float32)


def _kernel(rows: _Rows) -> LabelKernel:
    is_thing = rows.fits > 0
    weights = np.where(is_thing, 0.5 / max(is_thing.sum(), 1), 0.5 / max((~is_thing).sum(), 1))
    y = torch.from_numpy(rows.fits.astype(np.float32))[:, None]
    w = torch.from_numpy(weights.astype(np.float32))

    def moments(chosen: FloatArray) -> Moments:
        at = torch.from_numpy(np.flatnonzero(chosen))
        return Moments.of(rows.x[at], y[at], w[at])

    objects = np.unique(rows.object_numbers[rows.object_numbers >= 0])
    folds = np.array_split(objects, min(FOLDS, len(objects)))
    of_folds = [moments(np.isin(rows.object_numbers, fold)) for fold in folds]
    whole = moments(rows.object_numbers < 0)
    for fold in of_folds:
        whole = whole + fold
    kernel, constant = whole.solved(PENALTY)
    fits = (rows.x @ kernel + constant)[:, 0].numpy()
    held_out = fits.copy()
    if len(folds) > 1:
        for members, fold in zip(folds, of_folds, strict=True):
            mine = np.isin(rows.object_numbers, members)
            other_kernel, other_constant = (whole - fold).solved(PENALTY)
            at = torch.from_numpy(np.flatnonzero(mine))
            held_out[mine] = (rows.x[at] @ other_kernel + other_constant)[:, 0].numpy()
    best_of_objects = [held_out[rows.object_numbers == number].max() for number in objects]
    scores = score_map(np.array(best_of_objects), fits[rows.object_numbers < 0])
    shows_sides = torch.from_numpy(np.flatnonzero(rows.overlaps > SIDES_IOU))
    sides = torch.from_numpy(rows.sides)[shows_sides]
    even = torch.full((len(shows_sides),), 1 / max(len(shows_sides), 1))
    sides_kernel, sides_constants = Moments.of(rows.x[shows_sides], sides, even).solved(SIDES_PENALTY)
    return LabelKernel(
        torch.cat([kernel, sides_kernel], dim=1), torch.cat([constant, sides_constants]), scores
    )
