from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import MaskPatch
from backend.core.geometry.mask_grid import MaskGrid, common_box


def test_a_box_of_up_to_1024_pixels_has_its_pixels_as_cells():
    grid = MaskGrid.over((7, 9, 7 + 1024, 9 + 300))
    columns, rows = grid.centres_xy_px
    assert not grid.is_coarse
    assert columns.tolist() == list(range(7, 1031))
    assert rows.tolist() == list(range(9, 309))
    bits = np.random.default_rng(0).random((300, 1024)) > 0.5
    assert (grid.decided(bits.astype(np.float32), bits) == bits).all()


def test_a_larger_one_has_512_cells_along_its_longer_side():
    grid = MaskGrid.over((100, 50, 4196, 1074))
    assert grid.shape_wh == (512, 128)
    columns, _ = grid.centres_xy_px
    assert columns[0] == pytest.approx(103.5)
    assert columns[-1] == pytest.approx(4191.5)


def test_cells_become_pixels_where_they_lie():
    grid = MaskGrid.over((0, 0, 2048, 2048))
    columns, rows = grid.centres_xy_px
    inside = np.hypot(columns[None, :] - 900, rows[:, None] - 700)
    likely = (1 / (1 + np.exp((inside - 400) / 20))).astype(np.float32)
    pixels = grid.decided(likely, likely > 0.5)
    wanted = np.hypot(np.arange(2048)[None, :] - 900, np.arange(2048)[:, None] - 700) < 400
    assert (pixels & wanted).sum() / (pixels | wanted).sum() > 0.998


def test_what_was_decided_against_the_odds_counts():
    grid = MaskGrid.over((0, 0, 2048, 2048))
    likely = np.full((512, 512), 0.9, np.float32)
    bits = np.ones((512, 512), np.bool_)
    bits[100:200, 100:200] = False
    pixels = grid.decided(likely, bits)
    assert not pixels[404:796, 404:796].any()
    assert pixels[:390].all()


def test_a_thin_stroke_covers_cells():
    grid = MaskGrid.over((0, 0, 4096, 4096))
    stroke = MaskPatch(1000, 2001, np.ones((3, 500), np.bool_))
    cells = grid.patch_to_cells(stroke)
    assert cells[250, 126:186].all()
    assert cells.sum() <= 2 * 64


def test_a_patch_beyond_the_box_covers_nothing():
    grid = MaskGrid.over((0, 0, 2048, 2048))
    assert not grid.patch_to_cells(MaskPatch(3000, 3000, np.ones((10, 10), np.bool_))).any()
    assert common_box((0, 0, 5, 5), (5, 0, 9, 5)) is None
