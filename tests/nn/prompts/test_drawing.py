from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import MaskPatch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import Window
from backend.nn.prompts.belief import Belief
from backend.nn.prompts.drawing import draw_prompts, marked_box, scaled_prompts, window_to_orig
from backend.nn.prompts.encoding import encode_image

IMAGE = np.zeros((64, 64, 3), dtype=np.uint8)
PAINTED = MaskPatch(8, 16, np.ones((8, 4), dtype=bool))
ALL = Prompts(
    np.float32([[10, 20], [50, 20]]),
    np.array([True, False]),
    np.float32([[4, 4], [40, 4], [40, 30], [4, 30]]),
    PAINTED,
)


def drawn(prompts, start=None):
    return draw_prompts(encode_image(IMAGE, None), prompts, Window(0, 0, 64), start, None, 64)


def test_clicks_outline_and_strokes_move_together():
    half = scaled_prompts(ALL, 0.5)
    np.testing.assert_allclose(half.clicks_xy_px, [[5, 10], [25, 10]])
    np.testing.assert_allclose(half.outline_px, [[2, 2], [20, 2], [20, 15], [2, 15]])
    assert (half.painted.left_px, half.painted.top_px, half.painted.bits.shape) == (4, 8, (4, 2))
    assert scaled_prompts(ALL, 1.0) is ALL


def test_the_thinnest_stroke_survives_a_small_scale():
    thin = Prompts(
        np.zeros((0, 2), np.float32), np.zeros(0, bool), None, MaskPatch(5, 5, np.ones((1, 1), bool))
    )
    assert scaled_prompts(thin, 0.1).painted.bits.all()


@pytest.mark.parametrize(
    ("scale", "window"), [(1.0, Window(-4, 8, 32)), (0.5, Window(-8, 16, 64)), (2.0, Window(-2, 4, 16))]
)
def test_a_window_of_the_work_frame_goes_back_to_the_image(scale, window):
    assert window_to_orig(Window(-4, 8, 32), scale) == window


def test_the_marked_box_holds_all_that_was_pointed_at():
    left, top, right, bottom = marked_box(ALL)
    assert left <= 4 and top <= 4 and right >= 50 and bottom >= 30


def test_each_kind_of_prompt_has_its_channel():
    positive, negative, shape, so_far, detector = drawn(ALL)
    assert positive[20, 10] and positive[18, 9] and not positive[20, 50]
    assert negative[20, 50] and not negative[20, 10]
    assert shape.any()
    assert not so_far.any() and not detector.any()


def test_the_mask_so_far_is_drawn_where_it_lies():
    field = np.zeros((32, 32), dtype=np.float16)
    field[:, 16:] = 1.0
    *_, so_far, _ = drawn(ALL, Belief(Window(0, 0, 64), field, 1.0))
    assert so_far[32, 50] > 200 and so_far[32, 10] < 50
