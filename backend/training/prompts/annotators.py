"""Simulated annotators: from an image with a known mask to what the prompt network would be shown.

One sample lives for a few rounds, as an annotator would: a first prompt, then clicks where the mask is
most wrong. Each round's prediction is the next round's mask so far, so no extra forward passes are
needed to learn refinement (the idea of iterative training, arXiv 2102.06583, with rounds spread over
batches).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.prompting.windows import (
    ByteArray,
    Window,
    box_around,
    cut_window,
    draw_clicks,
    draw_outline,
    likely_box,
    move_field,
    stack_prompts,
    whole_image_window,
    window_around,
)

BoolArray = npt.NDArray[np.bool_]
Rng = np.random.Generator

SHAPE_ZOOM_OUT = 1.5
"""Window side over the longer side of the rough shape, or of the mask so far; also used when serving."""
_ROUNDS = (0.26, 0.22, 0.17, 0.13, 0.1, 0.06, 0.04, 0.02)
"""How often an annotator is done after the first prompt, after one more click, after two, and so on."""
_KINDS = ("click", "box", "box and click", "rough outline", "dab")
_KIND_SHARES = (0.46, 0.36, 0.06, 0.07, 0.05)
_PART_KIND_SHARES = (0.0, 0.7, 0.14, 0.16, 0.0)
_WHOLE_IMAGE_SHARE = 0.4
"""How often the first look at a click is at the whole image, as it is when serving."""
_LARGEST_ZOOM_OUT = 8.0
_MERGED_SHARE = 0.35
"""How often a detector's idea of an object holds its neighbour as well, where it has one."""
_NEIGHBOUR_GAP = 0.3
"""How far apart neighbours are at most, as a share of the object's longer side."""


@dataclass(frozen=True, eq=False)
class MaskedObject:
    """One object to point at: image uint8 [H, W, 3], its mask bool [H, W], masks of others like it.

    is_part: a piece of something larger, which nobody can mean by a lone click.
    """

    image: ByteArray
    mask: BoolArray
    others: tuple[BoolArray, ...] = ()
    is_part: bool = False


@dataclass(eq=False)
class PromptedSample:
    """The state of one simulated annotator."""

    target: MaskedObject
    window: Window
    rounds_left: int
    positive_px: list[tuple[float, float]] = field(default_factory=list)
    negative_px: list[tuple[float, float]] = field(default_factory=list)
    outline_px: FloatArray | None = None
    dab_px: FloatArray | None = None
    so_far: tuple[Window, FloatArray] | None = None
    detector: FloatArray | None = None  # orig frame [H, W] in 0..1

    def inputs(self, net_side: int) -> tuple[ByteArray, ByteArray]:
        """Return the window's pixels uint8 [S, S, 3] and the drawn prompts uint8 [5, S, S]."""
        window = self.window
        positive = draw_clicks(window.to_net(self.positive_px, net_side), net_side)
        if self.dab_px is not None:
            points = np.round(window.to_net(self.dab_px, net_side)).astype(np.int32)
            cv2.polylines(positive, [points], False, 255, thickness=5)
        shape = None
        if self.outline_px is not None:
            shape = draw_outline(window.to_net(self.outline_px, net_side), net_side)
        so_far = None if self.so_far is None else move_field(self.so_far[1], self.so_far[0], window, net_side)
        detector = None if self.detector is None else _cut_field(self.detector, window, net_side)
        drawn = stack_prompts(
            positive=positive,
            negative=draw_clicks(window.to_net(self.negative_px, net_side), net_side),
            shape=shape,
            so_far=so_far,
            detector=detector,
        )
        return cut_window(self.target.image, window, net_side), drawn

    def truth(self, net_side: int) -> FloatArray:
        """Return the true mask in the window, float [S, S] in 0..1 (partly covered pixels between)."""
        return _cut_field(self.target.mask, self.window, net_side)

    def outside_share(self) -> float:
        """Return how much of the object the window leaves out, 0..1."""
        height, width = self.target.mask.shape
        rows = slice(max(0, self.window.top_px), min(height, self.window.top_px + self.window.side_px))
        columns = slice(max(0, self.window.left_px), min(width, self.window.left_px + self.window.side_px))
        inside = np.count_nonzero(self.target.mask[rows, columns])
        return 1.0 - inside / max(1, np.count_nonzero(self.target.mask))


def _cut_field(values: FloatArray | BoolArray, window: Window, net_side: int) -> FloatArray:
    """Return an orig-frame field or mask [H, W] as seen in a window, float [S, S]; shrinking averages."""
    height, width = values.shape
    side = window.side_px
    left, top = max(window.left_px, 0), max(window.top_px, 0)
    right, bottom = min(window.left_px + side, width), min(window.top_px + side, height)
    # Eight bits are exact enough, and four times cheaper to move than floats.
    padded = np.zeros((side, side), dtype=np.uint8)
    if right > left and bottom > top:
        inside = values[top:bottom, left:right]
        padded[
            top - window.top_px : bottom - window.top_px, left - window.left_px : right - window.left_px
        ] = inside * np.uint8(255) if inside.dtype == np.bool_ else np.round(inside * 255)
    method = cv2.INTER_AREA if side > net_side else cv2.INTER_LINEAR
    resized = cv2.resize(padded, (net_side, net_side), interpolation=method)
    return np.asarray(resized, dtype=np.float32) / np.float32(255)


def mask_box(mask: BoolArray) -> FloatArray:
    """Return the box [4] xyxy, half-open, around the set pixels of a mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def innermost_point(mask: BoolArray) -> tuple[float, float]:
    """Return the centre (x, y) of the pixel that lies deepest inside a mask."""
    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(x - 1) + 0.5, float(y - 1) + 0.5


def _point_inside(rng: Rng, mask: BoolArray) -> tuple[float, float]:
    """Return a click on the object: mostly well inside, now and then anywhere on it."""
    if rng.random() < 0.4:
        return innermost_point(mask)
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    reach = float(depth.max()) * rng.uniform(0.0, 0.7)
    ys, xs = np.nonzero(depth > min(reach, float(depth.max()) * 0.99))
    pick = rng.integers(len(ys))
    return float(xs[pick]) + 0.5, float(ys[pick]) + 0.5


def jittered_box(rng: Rng, box_xyxy_px: FloatArray, jitter: float) -> FloatArray:
    """Return the box with each side moved by a normal share `jitter` of the width or height."""
    extent = np.array([box_xyxy_px[2] - box_xyxy_px[0], box_xyxy_px[3] - box_xyxy_px[1]] * 2)
    moved = box_xyxy_px + rng.normal(0.0, jitter, 4) * extent
    return np.concatenate([np.minimum(moved[:2], moved[2:] - 2), np.maximum(moved[2:], moved[:2] + 2)])


def box_outline(box_xyxy_px: npt.ArrayLike) -> FloatArray:
    """Return the four corners [4, 2] of a box."""
    left, top, right, bottom = np.asarray(box_xyxy_px, dtype=np.float32)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)


def _rough_outline(rng: Rng, mask: BoolArray) -> FloatArray:
    """Return a sloppy ellipse or few-cornered polygon around the object."""
    box = jittered_box(rng, mask_box(mask), 0.06)
    if rng.random() < 0.5:
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * rng.uniform(1.0, 1.3)
        return (centre + half * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    ys, xs = np.nonzero(mask)
    hull = cv2.convexHull(np.stack([xs, ys], axis=1).astype(np.float32))[:, 0]
    picked = hull[np.sort(rng.permutation(len(hull))[: int(rng.integers(5, 11))])]
    centre = picked.mean(axis=0)
    grown = centre + (picked - centre) * rng.uniform(1.0, 1.25)
    noise = rng.normal(0.0, 0.03, grown.shape) * max(box[2] - box[0], box[3] - box[1])
    return (grown + noise).astype(np.float32)


def start_sample(rng: Rng, target: MaskedObject, *, prior_share: float = 0.15) -> PromptedSample:
    """Return a new simulated annotator with a first prompt on `target`.

    prior_share: how often a detector's (imperfect) idea of the object comes with the prompt.
    """
    box = mask_box(target.mask)
    kind = str(rng.choice(_KINDS, p=_PART_KIND_SHARES if target.is_part else _KIND_SHARES))
    sample = PromptedSample(target, Window(0, 0, 1), rounds_left=1 + int(rng.choice(len(_ROUNDS), p=_ROUNDS)))
    if kind in ("click", "box and click"):
        sample.positive_px.append(_point_inside(rng, target.mask))
    if kind in ("box", "box and click"):
        sample.outline_px = box_outline(jittered_box(rng, box, rng.uniform(0.0, 0.08)))
    elif kind == "rough outline":
        sample.outline_px = _rough_outline(rng, target.mask)
    elif kind == "dab":
        sample.dab_px = np.array([_point_inside(rng, target.mask) for _ in range(3)], dtype=np.float32)
    if rng.random() < prior_share:
        sample.so_far = _imagined_instance(rng, _with_neighbour(rng, target))
    if rng.random() < prior_share + 0.1:
        sample.detector = _imagined_view(rng, target)
    sample.window = _first_window(rng, sample, box)
    return sample


def _first_window(rng: Rng, sample: PromptedSample, box: FloatArray) -> Window:
    """Return where the network would look first: around the shape or the idea, else at any scale."""
    if sample.outline_px is not None:
        return window_around(box_around(sample.outline_px), SHAPE_ZOOM_OUT * rng.uniform(0.88, 1.15))
    if sample.so_far is not None:
        window, soft = sample.so_far
        held = likely_box(soft, window)
        return window_around(
            box if held is None else box_around(box, held), SHAPE_ZOOM_OUT * rng.uniform(0.85, 1.3)
        )
    height, width = sample.target.mask.shape
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    largest = 1.1 * max(height, width) / longer
    if largest < _LARGEST_ZOOM_OUT and rng.random() < _WHOLE_IMAGE_SHARE:
        return whole_image_window(ImageSize(width, height))
    zoom_out = float(np.exp(rng.uniform(np.log(1.0), np.log(max(1.5, min(largest, _LARGEST_ZOOM_OUT))))))
    side = max(24, round(zoom_out * longer))
    clicks = np.array(sample.positive_px if sample.positive_px else sample.dab_px, dtype=np.float32)
    x, y = clicks.mean(axis=0)
    shift = rng.uniform(-0.2, 0.2, 2) * side * (rng.random() < 0.5)
    return Window(round(x - side / 2 + shift[0]), round(y - side / 2 + shift[1]), side)


def next_round(rng: Rng, sample: PromptedSample, probability: FloatArray) -> bool:
    """Let the annotator look at the prediction and click; False when this one is done.

    probability float [S, S]: what the network made of the sample's window. The click lands in the
    largest wrong area, mostly at its innermost point. The window then follows the prediction.
    """
    sample.rounds_left -= 1
    if sample.rounds_left <= 0:
        return False
    target, window, net_side = sample.target, sample.window, probability.shape[0]
    predicted = _to_orig(probability, window, target.mask.shape) > 0.5
    wrong = _largest_area((predicted != target.mask) & ~_near_clicks(sample, window, net_side))
    iou = np.count_nonzero(predicted & target.mask) / max(1, np.count_nonzero(predicted | target.mask))
    sample.so_far = (window, probability)
    refine_only = rng.random() < 0.3 or wrong is None or iou > 0.97
    if not refine_only and wrong is not None:
        at = innermost_point(wrong) if rng.random() < 0.7 else _point_inside(rng, wrong)
        is_missing = bool(target.mask[int(at[1]), int(at[0])])
        (sample.positive_px if is_missing else sample.negative_px).append(at)
    marks = [np.array(sample.positive_px + sample.negative_px, dtype=np.float32)]
    if predicted.any():
        marks.append(mask_box(predicted))
    if sample.outline_px is not None:
        marks.append(sample.outline_px)
    if sample.dab_px is not None:
        marks.append(sample.dab_px)
    sample.window = window_around(box_around(*marks), SHAPE_ZOOM_OUT * rng.uniform(0.88, 1.15))
    return True


def _near_clicks(sample: PromptedSample, window: Window, net_side: int) -> BoolArray:
    """Return where a click would repeat an earlier one, bool [H, W]."""
    near = np.zeros(sample.target.mask.shape, dtype=np.uint8)
    radius = max(1, round(3 * window.side_px / net_side))
    for x, y in sample.positive_px + sample.negative_px:
        cv2.circle(near, (int(x), int(y)), radius, 1, thickness=-1)
    return near > 0


def _largest_area(wrong: BoolArray) -> BoolArray | None:
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    return np.asarray(numbers == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _to_orig(values: FloatArray, window: Window, shape_hw: tuple[int, ...]) -> FloatArray:
    """Return a net-frame field in the orig frame, float [H, W], 0 outside the window."""
    grid_per_px = values.shape[0] / window.side_px
    offset = 0.5 * grid_per_px - 0.5
    matrix = np.array(
        [
            [grid_per_px, 0.0, -window.left_px * grid_per_px + offset],
            [0.0, grid_per_px, -window.top_px * grid_per_px + offset],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size_wh = (shape_hw[1], shape_hw[0])
    return np.asarray(cv2.warpAffine(values, matrix, size_wh, flags=flags), dtype=np.float32)


def _with_neighbour(rng: Rng, target: MaskedObject) -> BoolArray:
    """Return the object's mask, now and then with that of the object like it that is next to it.

    Detectors take two that touch for one; annotators then cut one of them away.
    """
    others = [other for other in target.others if other.any()]
    if not others or rng.random() >= _MERGED_SHARE:
        return target.mask
    box = mask_box(target.mask)
    gaps = []
    for other in others:
        its_box = mask_box(other)
        gaps.append(float(np.maximum(its_box[:2] - box[2:], box[:2] - its_box[2:]).max()))
    nearest = int(np.argmin(gaps))
    if gaps[nearest] > _NEIGHBOUR_GAP * float((box[2:] - box[:2]).max()):
        return target.mask
    return target.mask | others[nearest]


def _imagined_instance(rng: Rng, mask: BoolArray) -> tuple[Window, FloatArray]:
    """Return a flawed mask of the object, like a detector's, as a soft field in a window of its own."""
    box = mask_box(mask)
    window = window_around(box, 1.4)
    side = int(rng.choice([28, 56, 112]))
    truth = _cut_field(mask, window, side)
    blurred = cv2.GaussianBlur(truth, (0, 0), side * rng.uniform(0.01, 0.05))
    lumps = cv2.resize(
        rng.standard_normal((7, 7), dtype=np.float32), (side, side), interpolation=cv2.INTER_CUBIC
    )
    soft = 1.0 / (1.0 + np.exp(-(blurred - 0.5 + 0.25 * rng.random() * lumps) * rng.uniform(4, 14)))
    if rng.random() < 0.25:
        cut = rng.integers(side // 4, side)
        axis = rng.integers(4)
        soft[
            {0: np.s_[cut:], 1: np.s_[: side - cut], 2: np.s_[:, cut:], 3: np.s_[:, : side - cut]}[int(axis)]
        ] = 0.0
    return window, soft.astype(np.float32)


def _imagined_view(rng: Rng, target: MaskedObject) -> FloatArray:
    """Return what a detector of such objects might say of the image: a soft union with gaps."""
    view = np.zeros(target.mask.shape, dtype=np.float32)
    for mask in (target.mask, *target.others):
        if rng.random() < 0.85 and mask.any():
            window, soft = _imagined_instance(rng, mask)
            view = np.maximum(view, _to_orig(soft, window, mask.shape) * rng.uniform(0.4, 1.0))
    return view
