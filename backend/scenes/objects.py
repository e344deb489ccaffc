"""Plans of generated objects: parts with an outline and a surface each, in a unit frame around 0.

A real thing rarely has one colour. Objects of several unlike parts teach that an object ends where
its outline ends, not where its colour changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.core.geometry.instances import FloatArray
from backend.scenes import outlines
from backend.scenes.textures import nearby_colour, random_colour

Rng = np.random.Generator
KINDS = ("plain", "cell", "figure", "creature", "machine")


@dataclass(frozen=True, eq=False)
class Part:
    """One piece: outline [N, 2] (x right, y down), base colour [3], contrast of its pattern 0..1."""

    outline: FloatArray
    colour: FloatArray
    contrast: float


@dataclass(frozen=True)
class ObjectPlan:
    """Parts from back to front. `is_round`: shade it as a body rather than as a flat plate."""

    parts: tuple[Part, ...]
    is_round: bool
    opacity: float = 1.0


def _contrast(rng: Rng) -> float:
    return float(rng.choice([0.03, 0.06, 0.12, 0.25, 0.5], p=[0.3, 0.25, 0.2, 0.15, 0.1]))


def _point(x: float, y: float) -> FloatArray:
    return np.array([x, y], dtype=np.float32)


def plain_object(rng: Rng) -> ObjectPlan:
    """One outline, sometimes with markings on it."""
    colour = random_colour(rng)
    outline = outlines.random_outline(rng)
    parts = [Part(outline, colour, _contrast(rng))]
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            mark = outlines.random_outline(rng) * rng.uniform(0.12, 0.45)
            anchor = outline[rng.integers(len(outline))] * rng.uniform(0.0, 0.5)
            mark_colour = random_colour(rng) if rng.random() < 0.6 else nearby_colour(rng, colour, 0.15)
            parts.append(
                Part(outlines.turned(mark, rng.uniform(0, 6.3)) + anchor, mark_colour, _contrast(rng))
            )
    return ObjectPlan(tuple(parts), is_round=bool(rng.random() < 0.7))


def cell_object(rng: Rng) -> ObjectPlan:
    """Return a roundish body with a rim and perhaps a core, partly see-through: cell, drop, coin, fruit."""
    colour = random_colour(rng)
    body = outlines.blob(rng, rng.uniform(0.0, 0.2)) * _point(1.0, rng.uniform(0.7, 1.0))
    rim = nearby_colour(rng, colour, 0.15)
    parts = [Part(body, rim, 0.05), Part(body * rng.uniform(0.75, 0.95), colour, _contrast(rng))]
    for _ in range(int(rng.integers(0, 3))):
        core = outlines.blob(rng, rng.uniform(0.0, 0.35)) * rng.uniform(0.2, 0.6)
        parts.append(
            Part(core + rng.uniform(-0.3, 0.3, 2).astype(np.float32), random_colour(rng), _contrast(rng))
        )
    return ObjectPlan(tuple(parts), is_round=bool(rng.random() < 0.4), opacity=float(rng.uniform(0.55, 1.0)))


def upright_figure(rng: Rng) -> ObjectPlan:
    """Return a standing or walking figure of head, body, arms and legs, each dressed in its own colour."""
    skin, hair, top, trousers, shoes = (random_colour(rng) for _ in range(5))
    if rng.random() < 0.6:
        skin = np.clip(_point(0.0, 0.0)[0] + np.array([0.85, 0.65, 0.52]) * rng.uniform(0.25, 1.1), 0, 1)
        skin = skin.astype(np.float32)
    if rng.random() < 0.2:
        trousers = nearby_colour(rng, top, 0.05)
    width = rng.uniform(0.7, 1.3)
    shoulder_y, hip_y, foot_y, head_r = -0.58, rng.uniform(-0.1, 0.08), 1.0, rng.uniform(0.1, 0.145)
    stride, sway = rng.uniform(0.0, 0.42), rng.normal(0.0, 0.04)
    leg_w, arm_w = rng.uniform(0.06, 0.11) * width, rng.uniform(0.035, 0.06) * width
    side = rng.uniform(0.08, 0.2) * width
    parts: list[Part] = []

    def arm(sign: float) -> Part:
        swing = rng.uniform(-0.15, 0.3)
        shoulder = _point(sign * side + sway, shoulder_y + 0.06)
        elbow = shoulder + _point(sign * rng.uniform(0.0, 0.16), rng.uniform(0.2, 0.32))
        hand = elbow + _point(sign * swing, rng.uniform(-0.05, 0.28))
        return Part(outlines.limb(shoulder, elbow, hand, arm_w, arm_w * 0.8), arm_colour, arm_contrast)

    arm_colour = top if rng.random() < 0.7 else skin
    arm_contrast = _contrast(rng)
    parts.append(arm(-1.0))
    leg_contrast = _contrast(rng)
    for sign in (-1.0, 1.0):
        foot = _point(sign * stride * 0.5 + rng.normal(0, 0.03), foot_y - 0.05)
        hip = _point(sign * side * 0.5, hip_y)
        knee = (hip + foot) / 2 + _point(rng.normal(0, 0.05), 0.0)
        parts.append(Part(outlines.limb(hip, knee, foot, leg_w * 1.2, leg_w * 0.75), trousers, leg_contrast))
        shoe = outlines.super_ellipse(leg_w * 1.5, 0.045, 0.6) + foot + _point(rng.uniform(-0.03, 0.05), 0.02)
        parts.append(Part(shoe, shoes, 0.05))
    if rng.random() < 0.3:
        hem = rng.uniform(0.2, 0.75)
        flare = rng.uniform(0.8, 1.8)
        skirt = np.array(
            [
                [-side, hip_y - 0.1],
                [side, hip_y - 0.1],
                [side * flare + 0.05, hem],
                [-side * flare - 0.05, hem],
            ],
            dtype=np.float32,
        )
        parts.append(Part(skirt, trousers if rng.random() < 0.6 else top, _contrast(rng)))
    torso_h = (hip_y + 0.08 - shoulder_y) / 2
    torso = outlines.super_ellipse(side * 1.25, torso_h, rng.uniform(0.3, 0.8)) + _point(
        sway, shoulder_y + torso_h
    )
    parts.append(Part(torso, top, _contrast(rng)))
    neck = outlines.super_ellipse(head_r * 0.5, 0.06, 0.6) + _point(sway, shoulder_y)
    head_at = _point(sway + rng.normal(0, 0.02), shoulder_y - head_r * 0.95)
    parts.append(Part(neck, skin, 0.03))
    if rng.random() < 0.35:
        parts.append(Part(outlines.blob(rng, 0.1) * head_r * 1.25 + head_at + _point(0.0, 0.03), hair, 0.06))
    parts.append(Part(outlines.ellipse(head_r * 0.82, head_r) + head_at, skin, 0.06))
    cap = outlines.ellipse(head_r * 0.9, head_r * 0.6) + head_at - _point(rng.normal(0, 0.02), head_r * 0.5)
    parts.append(Part(cap, hair, 0.08))
    parts.append(arm(1.0))
    if rng.random() < 0.35:
        bag = outlines.super_ellipse(rng.uniform(0.06, 0.15), rng.uniform(0.08, 0.2), 0.4)
        parts.append(
            Part(
                bag + _point(rng.choice([-1, 1]) * side * 1.3, rng.uniform(-0.35, 0.3)),
                random_colour(rng),
                0.1,
            )
        )
    return ObjectPlan(tuple(parts), is_round=True)


def creature(rng: Rng) -> ObjectPlan:
    """Return a body with a head, limbs and perhaps a tail, in related or unlike colours."""
    colour = random_colour(rng)

    def part_colour() -> FloatArray:
        return nearby_colour(rng, colour, 0.08) if rng.random() < 0.7 else random_colour(rng)

    body = outlines.blob(rng, 0.15) * _point(rng.uniform(0.45, 0.7), rng.uniform(0.25, 0.45))
    parts = []
    limb_colour = part_colour()
    for _ in range(int(rng.integers(2, 7))):
        start = body[rng.integers(len(body))] * 0.8
        end = start * rng.uniform(1.2, 2.0) + _point(rng.normal(0, 0.15), rng.uniform(-0.1, 0.5))
        bend = (start + end) / 2 + rng.normal(0, 0.12, 2).astype(np.float32)
        parts.append(Part(outlines.limb(start, bend, end, rng.uniform(0.05, 0.14), 0.04), limb_colour, 0.06))
    parts.append(Part(body, colour, _contrast(rng)))
    head_at = _point(rng.choice([-1, 1]) * rng.uniform(0.45, 0.75), rng.uniform(-0.5, 0.1))
    parts.append(
        Part(outlines.blob(rng, 0.15) * rng.uniform(0.18, 0.32) + head_at, part_colour(), _contrast(rng))
    )
    if rng.random() < 0.6:
        parts.append(
            Part(outlines.blob(rng, 0.3) * rng.uniform(0.1, 0.25), random_colour(rng), _contrast(rng))
        )
    return ObjectPlan(tuple(parts), is_round=True)


def machine(rng: Rng) -> ObjectPlan:
    """Return a box-like thing with attached parts: vehicle, furniture, device, house."""
    colour = random_colour(rng)
    half_h = rng.uniform(0.3, 0.9)
    parts = []
    wheel_colour = nearby_colour(rng, np.full(3, 0.12, dtype=np.float32), 0.08)
    if rng.random() < 0.6:
        radius = rng.uniform(0.12, 0.28)
        for x in (-rng.uniform(0.4, 0.75), rng.uniform(0.4, 0.75)):
            parts.append(Part(outlines.ellipse(radius, radius) + _point(x, half_h), wheel_colour, 0.05))
    if rng.random() < 0.5:
        top = outlines.super_ellipse(rng.uniform(0.3, 0.8), rng.uniform(0.15, 0.5), 0.3)
        parts.append(
            Part(top + _point(rng.uniform(-0.3, 0.3), -half_h), nearby_colour(rng, colour, 0.1), 0.05)
        )
    hull = outlines.super_ellipse(1.0, half_h, rng.uniform(0.08, 0.45))
    parts.append(Part(hull, colour, _contrast(rng)))
    inset_colour = random_colour(rng)
    for _ in range(int(rng.integers(0, 6))):
        inset = outlines.super_ellipse(
            rng.uniform(0.06, 0.3), rng.uniform(0.06, 0.25), rng.uniform(0.05, 1.0)
        )
        at = _point(rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.6) * half_h)
        parts.append(Part(inset + at, inset_colour, _contrast(rng)))
    return ObjectPlan(tuple(parts), is_round=bool(rng.random() < 0.5))


def random_object(rng: Rng) -> tuple[str, ObjectPlan]:
    """Return the name of a kind and one object of it."""
    kind = str(rng.choice(KINDS, p=[0.32, 0.14, 0.28, 0.13, 0.13]))
    return kind, object_of_kind(rng, kind)


def object_of_kind(rng: Rng, kind: str) -> ObjectPlan:
    """Return another object of a kind; used for groups of alike things that touch."""
    makers = {
        "plain": plain_object,
        "cell": cell_object,
        "figure": upright_figure,
        "creature": creature,
        "machine": machine,
    }
    return makers[kind](rng)
