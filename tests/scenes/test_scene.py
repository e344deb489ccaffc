from __future__ import annotations

import numpy as np
import pytest

from backend.scenes.objects import object_of_kind
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
