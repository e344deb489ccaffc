from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import MaskPatch
from backend.core.prompting.windows import Window
from backend.nn.prompts.hints import mask_view


def disc(side: int, left: int, top: int) -> MaskPatch:
    place = np.arange(side) + 0.5 - side / 2
    return MaskPatch(left, top, np.hypot(place[None, :], place[:, None]) < side / 2)


@pytest.mark.parametrize("window", [Window(0, 0, 6000), Window(-500, 200, 4500), Window(3000, 3000, 300)])
def test_a_mask_of_millions_of_pixels_is_seen_where_it_lies(window):
    mask = disc(3000, 1000, 1200)
    view = mask_view(mask, window, 256)
    cells = (np.arange(256) + 0.5) * window.side_px / 256
    x, y = window.left_px + cells[None, :], window.top_px + cells[:, None]
    inside = np.hypot(x - 2500, y - 2700) < 1500
    assert ((view > 0.5) != inside).mean() < 0.01


def test_a_window_beside_a_large_mask_shows_nothing():
    assert not mask_view(disc(3000, 0, 0), Window(4000, 4000, 200), 64).any()
