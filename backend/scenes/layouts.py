"""Who stands where in a generated scene: loose groups, crowds on common ground, fields of alike things."""

from __future__ import annotations

import math

import numpy as np

from backend.core.instances import FloatArray
from backend.scenes import outlines
from backend.scenes.objects import ObjectPlan, Part, cell_object, object_of_kind, random_object
from backend.scenes.painting import UNLABELLED, Canvas, draw_object
from backend.scenes.textures import nearby_colour, random_colour

Rng = np.random.Generator

LAYOUTS = ("groups", "crowd", "field")
LAYOUT_SHARES = (0.45, 0.33, 0.22)
UPRIGHT_KINDS = ("figure", "machine")


def place_objects(rng: Rng, canvas: Canvas, layout: str) -> list[str]:
    """Draw a scene's objects and now and then clutter before them; return the kinds, number by number."""
    place = {"groups": _groups, "crowd": _crowd, "field": _field}[layout]
    kinds = place(rng, canvas)
    if rng.random() < 0.35:
        _obstruct(rng, canvas)
    canvas.owner[canvas.owner == UNLABELLED] = 0
    return kinds


def _groups(rng: Rng, canvas: Canvas) -> list[str]:
    """Draw groups of alike objects and single ones, anywhere and of any size."""
    height, width = canvas.owner.shape
    kinds: list[str] = []
    for _ in range(int(rng.integers(1, 4))):
        kind, plan = random_object(rng)
        group = int(rng.choice([1, 2, 3, 6], p=[0.45, 0.25, 0.2, 0.1]))
        size_px = float(np.exp(rng.uniform(np.log(14.0), np.log(0.55 * min(height, width)))))
        centre = rng.uniform([0.05 * width, 0.05 * height], [0.95 * width, 0.95 * height])
        for member in range(group):
            if member and not (kind == "plain" and rng.random() < 0.6):
                plan = object_of_kind(rng, kind)
            kinds.append(kind)
            member_px = size_px * rng.uniform(0.8, 1.2)
            draw_object(rng, canvas, plan, centre, member_px, _angle(rng, kind), len(kinds))
            step = rng.normal(0.0, 1.0, 2) * size_px * (0.8 if kind != "figure" else 0.5)
            centre = np.clip(centre + step + np.sign(step) * size_px * 0.5, 0, [width, height])
    return kinds


def _crowd(rng: Rng, canvas: Canvas) -> list[str]:
    """Draw things that stand side by side on the same ground, the nearer before the farther."""
    height, width = canvas.owner.shape
    main_kind = "figure" if rng.random() < 0.75 else str(rng.choice(["creature", "machine", "plain"]))
    count = int(rng.integers(2, 9))
    horizon, tallest_px = rng.uniform(-0.1, 0.5) * height, rng.uniform(0.35, 1.0) * height
    nearness = np.sort(rng.uniform(0.35, 1.0, count) if rng.random() < 0.6 else rng.uniform(0.85, 1.0, count))
    start, spread = rng.uniform(0.0, 1.0) * width, rng.uniform(0.15, 1.0) * width
    kinds: list[str] = []
    for near in nearness:
        kind = main_kind if rng.random() < 0.85 else random_object(rng)[0]
        size_px = tallest_px * near * rng.uniform(0.9, 1.1) / 1.85
        if kind != "figure":
            size_px *= rng.uniform(0.4, 0.9)
        x = start + rng.normal(0.0, 0.5) * spread
        foot_y = horizon + (height * rng.uniform(0.9, 1.1) - horizon) * near
        kinds.append(kind)
        centre = np.array([np.clip(x, 0.02 * width, 0.98 * width), foot_y - size_px])
        draw_object(
            rng, canvas, object_of_kind(rng, kind), centre, size_px, rng.normal(0.0, 0.05), len(kinds)
        )
    return kinds


def _field(rng: Rng, canvas: Canvas) -> list[str]:
    """Scatter many alike things over the picture, apart, touching or overlapping, often pale on pale."""
    height, width = canvas.owner.shape
    kind = "cell" if rng.random() < 0.7 else str(rng.choice(["plain", "creature", "machine"]))
    count = int(np.exp(rng.uniform(np.log(5), np.log(45))))
    covered = rng.uniform(0.1, 0.7)
    size_px = math.sqrt(covered * height * width / (count * math.pi))
    ground = canvas.colours.mean(axis=(0, 1))
    colour = nearby_colour(rng, ground, 0.2) if rng.random() < 0.7 else random_colour(rng)
    template = object_of_kind(rng, kind)
    opacity, is_hollow = float(rng.uniform(0.5, 1.0)), bool(rng.random() < 0.5)
    sizes_alike = rng.uniform(0.05, 0.25)
    kinds: list[str] = []
    for _ in range(count):
        plan = template
        if kind == "cell" and rng.random() < 0.92:
            tone = nearby_colour(rng, colour, 0.03)
            plan = cell_object(rng, tone, opacity=opacity, is_hollow=is_hollow)
        elif rng.random() < 0.3:
            plan = object_of_kind(rng, kind)
        kinds.append(kind)
        member_px = size_px * max(0.3, rng.normal(1.0, sizes_alike))
        if plan is template and kind == "cell":
            member_px *= rng.uniform(0.4, 1.6)
        centre = rng.uniform([0, 0], [width, height])
        draw_object(rng, canvas, plan, centre, member_px, rng.uniform(0, 2 * np.pi), len(kinds))
    return kinds


def _obstruct(rng: Rng, canvas: Canvas) -> None:
    """Draw an unlabelled thing, or a pole, before everything else."""
    height, width = canvas.owner.shape
    is_thin = rng.random() < 0.5
    plan = ObjectPlan((_pole(rng),), is_round=False) if is_thin else random_object(rng)[1]
    size_px = max(height, width) if is_thin else rng.uniform(0.05, 0.2) * max(height, width)
    at = rng.uniform([0, 0], [width, height])
    draw_object(rng, canvas, plan, at, size_px, rng.uniform(0, 2 * np.pi), UNLABELLED)


def strew_clutter(rng: Rng, canvas: Canvas) -> None:
    """Draw unlabelled things, small and large, that later objects stand before."""
    height, width = canvas.owner.shape
    longest = max(height, width)
    for _ in range(int(rng.choice([0, 3, 8, 16]))):
        _, plan = random_object(rng)
        at = rng.uniform([0, 0], [width, height])
        size_px = rng.uniform(0.02, 0.12) * longest
        draw_object(rng, canvas, plan, at, size_px, rng.uniform(0, 2 * np.pi), UNLABELLED)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 7))):
            at = rng.uniform([0, 0], [width, height])
            draw_object(rng, canvas, _backdrop(rng), at, rng.uniform(0.1, 0.5) * longest, 0.0, UNLABELLED)


def _backdrop(rng: Rng) -> ObjectPlan:
    """Return something large and patterned that stands behind: wall, hedge, sign, doorway."""
    outline: FloatArray
    if rng.random() < 0.5:
        outline = outlines.super_ellipse(1.0, rng.uniform(0.2, 2.0), rng.uniform(0.02, 0.3))
    else:
        outline = outlines.blob(rng, rng.uniform(0.1, 0.5))
    parts = [Part(outline, random_colour(rng), float(rng.choice([0.1, 0.25, 0.5])))]
    if rng.random() < 0.4:
        inset = outline * np.array([rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.9)], dtype=np.float32)
        parts.append(Part(inset, random_colour(rng), float(rng.choice([0.04, 0.25]))))
    return ObjectPlan(tuple(parts), is_round=bool(rng.random() < 0.3))


def _pole(rng: Rng) -> Part:
    return Part(outlines.super_ellipse(rng.uniform(0.01, 0.03), 1.5, 0.1), random_colour(rng), 0.05)


def _angle(rng: Rng, kind: str) -> float:
    return float(rng.normal(0.0, 0.06) if kind in UPRIGHT_KINDS else rng.uniform(0, 2 * np.pi))
