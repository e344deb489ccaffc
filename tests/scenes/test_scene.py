from __future__ import annotations

import numpy as np
import pytest

from backend.scenes.camera import photograph
from backend.scenes.layouts import LAYOUTS, place_objects, strew_clutter
from backend.scenes.objects import cell_object, object_of_kind
from backend.scenes.painting import UNLABELLED, Canvas, draw_object
from backend.scenes.scene import make_scene
from backend.scenes.textures import random_texture

KINDS = ("plain", "cell", "figure", "creature", "machine")


def test_the_same_seed_draws_the_same_scene():
    first, again, other = make_scene(3, 5), make_scene(3, 5), make_scene(3, 6)
    assert (first.image == again.image).all() and (first.owner == again.owner).all()
    assert first.image.shape != other.image.shape or (first.image != other.image).any()


@pytest.mark.parametrize("index", range(6))
def test_masks_belong_to_the_picture_and_exclude_each_other(index):
    scene = make_scene(11, index)
    assert scene.image.dtype == np.uint8 and scene.image.shape[:2] == scene.owner.shape
    assert scene.owner.min() >= 0 and scene.owner.max() <= len(scene.kinds)
    covered = sum(scene.mask(number).astype(int) for number in range(1, len(scene.kinds) + 1))
    assert covered.max() <= 1 and set(scene.kinds) <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_parts_of_finite_outline(kind):
    for seed in range(5):
        plan = object_of_kind(np.random.default_rng(seed), kind)
        assert plan.parts and 0 < plan.opacity <= 1
        for part in plan.parts:
            assert part.outline.shape[0] >= 3 and np.isfinite(part.outline).all()
            assert part.colour.shape == (3,) and part.colour.min() >= 0 and part.colour.max() <= 1


def test_surfaces_stay_in_range():
    for seed in range(12):
        surface = random_texture(np.random.default_rng(seed), 17, 23)
        assert surface.shape == (17, 23, 3) and surface.min() >= 0 and surface.max() <= 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_numbers_its_objects_from_one(layout):
    canvas = Canvas.on(np.full((120, 160, 3), 0.5, np.float32))
    kinds = place_objects(np.random.default_rng(2), canvas, layout)
    assert kinds and set(kinds) <= set(KINDS)
    numbers = set(np.unique(canvas.owner).tolist()) - {0}
    assert numbers and numbers <= set(range(1, len(kinds) + 1))
    assert canvas.colours.min() >= 0 and canvas.colours.max() <= 1


def test_clutter_is_seen_but_belongs_to_nobody():
    ground = np.full((120, 160, 3), 0.5, np.float32)
    canvas = Canvas.on(ground)
    for seed in range(4):
        strew_clutter(np.random.default_rng(seed), canvas)
    assert (canvas.colours != ground).any() and set(np.unique(canvas.owner).tolist()) <= {0, UNLABELLED}


def test_what_is_drawn_outside_changes_nothing():
    canvas = Canvas.on(np.full((40, 50, 3), 0.5, np.float32))
    plan = object_of_kind(np.random.default_rng(0), "plain")
    draw_object(np.random.default_rng(0), canvas, plan, np.array([500.0, 20.0]), 10.0, 0.0, 1)
    assert (canvas.colours == 0.5).all() and not canvas.owner.any()


def test_cells_take_a_colour_and_can_be_hollow():
    colour = np.array([0.2, 0.4, 0.6], np.float32)
    plan = cell_object(np.random.default_rng(0), colour, opacity=0.7, is_hollow=True)
    assert plan.opacity == 0.7 and (plan.parts[1].colour == colour).all()
    assert plan.parts[-1].colour.mean() > colour.mean()


def test_a_photograph_keeps_its_size_and_uses_bytes():
    colours = np.random.default_rng(0).random((30, 44, 3), dtype=np.float32)
    for seed in range(10):
        image = photograph(np.random.default_rng(seed), colours)
        assert image.dtype == np.uint8 and image.shape == (30, 44, 3)
